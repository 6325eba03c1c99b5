//! Wrong inputs.
