//! Functions, from their packages to archives: with the real cargo, on packages that need nothing from outside.

mod build;
