//! Lambda: functions.

pub(super) mod function;
