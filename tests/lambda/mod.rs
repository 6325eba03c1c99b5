//! Functions, from their packages to archives, with the real cargo, on packages that need nothing from outside; and on to
//! the sandbox's Lambda, where they run.

mod build;
mod deploy;
mod leftovers;
mod logs;
mod rates;
mod reference;
mod release;
mod site;
