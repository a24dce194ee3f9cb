//! `-a`, `-e` and `-d`: a dest of a service.

use cli::{CliError, ip_message};
use proto::v1::{Dest, DestRequest, FwdMode, IpAddress, ServiceKey, TunnelType};

use super::edit_mask;
use super::endpoint::endpoint;
use super::number;
use crate::args::{Line, conflict};

pub(super) fn dest(line: &Line, service: ServiceKey) -> Result<DestRequest, CliError> {
    let text = line.get("real-server").unwrap_or_default();
    let (addr, port) = endpoint(text, service.protocol())?;
    let modes = [
        ("fullnat", FwdMode::FullNat),
        ("gatewaying", FwdMode::Dr),
        ("ipip", FwdMode::Tunnel),
        ("masquerading", FwdMode::Nat),
        ("snat", FwdMode::Snat),
    ];
    let given: Vec<_> = modes.iter().filter(|(name, _)| line.has(name)).collect();
    if let [(first, _), (second, _), ..] = given[..] {
        return Err(conflict(first, second, line.command));
    }
    let fwd_mode = given.first().map_or(FwdMode::Dr, |(_, mode)| *mode);
    let (tunnel_type, tunnel_port) = tunnel(line, fwd_mode)?;
    let (tunnel_spread, tunnel_spread_len) = tunnel_spread(line)?;
    let dest = Dest {
        tunnel_spread,
        tunnel_spread_len,
        address: Some(ip_message(addr)),
        // Without a port the dest has the port of the service. The tutorial relies on it.
        port: port.map_or(service.port, u32::from),
        fwd_mode: fwd_mode.into(),
        tunnel_type: tunnel_type.into(),
        tunnel_port,
        weight: Some(number(line, "weight", 65_535)?.unwrap_or(1)),
        upper_threshold: number(line, "u-threshold", u32::MAX)?.unwrap_or(0),
        lower_threshold: number(line, "l-threshold", u32::MAX)?.unwrap_or(0),
        drain_s: number(line, "drain", 65_535)?.unwrap_or(0),
        edit_mask: edit_mask::of_dest(line),
        ..Dest::default()
    };
    Ok(DestRequest {
        service: Some(service),
        dest: Some(dest),
    })
}

/// `--tun-spread PREFIX`, or `off`: address and length, `None` without it.
fn tunnel_spread(line: &Line) -> Result<(Option<IpAddress>, u32), CliError> {
    let text = match line.get("tun-spread") {
        None | Some("off") => return Ok((None, 0)),
        Some(text) => text,
    };
    let (addr, len) = cli::parse_prefix(text).map_err(|_| {
        CliError::usage(format!(
            "invalid --tun-spread '{text}': expected a prefix, e.g. 10.99.0.0/16, or off"
        ))
    })?;
    Ok((Some(ip_message(addr)), len))
}

/// Type and port of a tunnel: `--tun-type ipip|gue|gre`, and `--tun-port N` with gue. The port is 0
/// without gue.
fn tunnel(line: &Line, mode: FwdMode) -> Result<(TunnelType, u32), CliError> {
    for option in ["tun-type", "tun-port"] {
        if line.has(option) && mode != FwdMode::Tunnel {
            return Err(CliError::usage(format!(
                "--{option} goes with tunnels only: give -i (--ipip) too"
            )));
        }
    }
    let tunnel_type = match line.get("tun-type") {
        None | Some("ipip") => TunnelType::Ipip,
        Some("gue") => TunnelType::Gue,
        Some("gre") => TunnelType::Gre,
        Some(other) => {
            return Err(CliError::usage(format!(
                "invalid tunnel type '{other}': expected ipip, gue or gre"
            )));
        }
    };
    let port = number(line, "tun-port", 65_535)?;
    match (tunnel_type, port) {
        (TunnelType::Gue, Some(port)) => Ok((tunnel_type, port)),
        (TunnelType::Gue, None) => Err(CliError::usage(
            "--tun-type gue needs the port that the real server listens on: give it, \
             e.g. --tun-port 6080",
        )),
        (_, None) => Ok((tunnel_type, 0)),
        (_, Some(_)) => Err(CliError::usage("--tun-port goes with --tun-type gue only")),
    }
}
