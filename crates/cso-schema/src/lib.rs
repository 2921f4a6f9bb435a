//! Facts and descriptors become kinds; kinds turn wishes into requests and answers into observations. Pure.
//!
//! ```text
//! kinds/aws/sqs.yaml --descriptor--> File --compile (checked against facts)--> kind::Kind
//! spec --convert--> API input        API answer --convert--> spec and status        compare, lens: named functions
//! ```

pub mod catalog;
pub mod compare;
pub mod compile;
pub mod convert;
pub mod crd;
mod descriptor;
pub mod fill;
pub mod import;
pub mod kind;
pub mod lens;
pub mod lint;
pub mod names;
pub mod observe;
mod partial;
pub mod validate;

pub use descriptor::json_schema;
