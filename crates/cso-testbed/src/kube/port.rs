//! Ports that stay ours while the servers on them come and go.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A free port of the loopback interface, held until this is dropped.
///
/// Its socket is bound and never listens. So nobody else gets the port, not even as the near end of a connection, and a
/// server that shares ports (`SO_REUSEPORT`) can listen on it, end, and listen again.
pub(super) struct Port {
    pub(super) address: SocketAddr,
    _held: Socket,
}

impl Port {
    pub(super) fn hold() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_port(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { address, _held: socket })
    }
}
