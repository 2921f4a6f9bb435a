//! Memory in one embedded file: the engine without a cluster.

pub mod state;
