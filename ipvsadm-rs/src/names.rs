//! Names of ports, from /etc/services: `http` for 80.
//!
//! Addresses are always written as numbers, with or without `-n`. If a name server were asked for
//! each, a list would hang just when the network is broken.

use std::collections::HashMap;
use std::sync::LazyLock;

use proto::v1::Protocol;

/// The file of port names: services(5).
pub(crate) const SERVICES_FILE: &str = "/etc/services";

/// Names of ports. If there are none, every port is written as a number.
#[derive(Debug, Default, Clone)]
pub(crate) struct PortNames {
    by_port: HashMap<(Protocol, u16), String>,
    by_name: HashMap<(Protocol, String), u16>,
}

impl PortNames {
    /// The names of this machine's [`SERVICES_FILE`], which is read once. Empty without the file.
    pub(crate) fn of_this_machine() -> &'static Self {
        static NAMES: LazyLock<PortNames> = LazyLock::new(|| {
            std::fs::read_to_string(SERVICES_FILE)
                .map(|text| PortNames::parse(&text))
                .unwrap_or_default()
        });
        &NAMES
    }

    /// Parses lines of `name port/protocol alias...  # comment`. If a port has several names, the
    /// first one is shown.
    fn parse(text: &str) -> Self {
        let mut names = Self::default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let (Some(name), Some(end)) = (words.next(), words.next()) else {
                continue;
            };
            let Some((Ok(port), protocol)) = end
                .split_once('/')
                .map(|(port, protocol)| (port.parse::<u16>(), protocol))
            else {
                continue;
            };
            let protocol = match protocol {
                "tcp" => Protocol::Tcp,
                "udp" => Protocol::Udp,
                _ => continue,
            };
            names
                .by_port
                .entry((protocol, port))
                .or_insert_with(|| name.to_owned());
            for name in std::iter::once(name).chain(words) {
                names
                    .by_name
                    .entry((protocol, name.to_owned()))
                    .or_insert(port);
            }
        }
        names
    }

    /// The name of a port, or its number if it has no name.
    pub(crate) fn show(&self, protocol: Protocol, port: u32) -> String {
        u16::try_from(port)
            .ok()
            .and_then(|port| self.by_port.get(&(protocol, port)))
            .map_or_else(|| port.to_string(), Clone::clone)
    }

    /// The port that a name or an alias means.
    pub(crate) fn port(&self, protocol: Protocol, name: &str) -> Option<u16> {
        self.by_name.get(&(protocol, name.to_owned())).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines in the form of services(5).
    #[test]
    fn ports_have_names_by_protocol() {
        let names = PortNames::parse(
            "# Network services\n\
             http\t\t80/tcp\t\twww\t\t# WorldWideWeb HTTP\n\
             http-alt 80/tcp\n\
             domain 53/udp\n\
             broken\n\
             broken 70000/tcp\n\
             other 80/sctp\n",
        );
        assert_eq!(names.show(Protocol::Tcp, 80), "http");
        assert_eq!(names.show(Protocol::Udp, 80), "80");
        assert_eq!(names.show(Protocol::Udp, 53), "domain");
        assert_eq!(names.show(Protocol::Tcp, 70_000), "70000");
        assert_eq!(names.port(Protocol::Tcp, "www"), Some(80));
        assert_eq!(names.port(Protocol::Tcp, "domain"), None);
        assert_eq!(PortNames::default().show(Protocol::Tcp, 80), "80");
    }
}
