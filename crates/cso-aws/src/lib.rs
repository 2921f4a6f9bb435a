//! AWS as a cloud.
