//! Stories over real parts: one binary, one module per story.

mod bed;
mod gaps;
mod structure;
mod traces;
