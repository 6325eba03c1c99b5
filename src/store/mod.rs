//! What a stack owns, durably, and the lock on it.
