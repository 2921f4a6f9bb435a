//! Facts and descriptors become a [`kind::Kind`].
pub mod kind;
