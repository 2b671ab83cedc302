//! Predictions of files and folders, in every format.
