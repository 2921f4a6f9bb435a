//! The compiler and what is made of kinds: one binary, one module per subject.

mod crd;
mod derived;
mod json_schema;
mod lint;
mod mutation;
mod settings;
mod toy;
mod violations;
