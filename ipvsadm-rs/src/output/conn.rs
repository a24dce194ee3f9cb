//! A conn's row.

use cli::ip_or_zero;
use proto::v1::Conn;

use super::endpoint::{named_endpoint, protocol_name};
use crate::names::PortNames;

/// A conn, as `-lnc` prints it.
pub(crate) fn conn(conn: &Conn, names: &PortNames) -> String {
    let protocol = conn.protocol();
    let end =
        |addr: &Option<_>, port| named_endpoint(ip_or_zero(addr.as_ref()), protocol, port, names);
    format!(
        "[{}]{:<3} {:<6} {:<11} {:<18} {:<18} {:<18} {}\n",
        conn.lcore,
        protocol_name(protocol),
        format!("{}s", conn.expires_in_s),
        conn.state,
        end(&conn.caddr, conn.cport),
        end(&conn.vaddr, conn.vport),
        end(&conn.laddr, conn.lport),
        end(&conn.daddr, conn.dport),
    )
}
