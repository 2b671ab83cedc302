//! RGB pixels to the backbone's input.
