//! An image file to RGB pixels.
