//! apidef
