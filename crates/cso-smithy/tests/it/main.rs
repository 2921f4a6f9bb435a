//! The client against scripted servers, and the protocols against the Smithy project's cases.

mod calls;
mod fixture;
mod promise;
mod protocol;
mod s3;
mod server;
