//! `dpip link`: devices and worker lcores.
//!
//! [`run`] reads the words after `link`. `show` asks the daemon; `device` and `worker` turn its
//! answers into text and JSON.

mod columns;
mod device;
mod show;
mod worker;

use cli::CliError;
use proto::v1::SetLinkRequest;
use proto::v1::link_service_client::LinkServiceClient;

use crate::words::{Words, parse_mac, unknown};
use crate::{Context, Verb};

const ITEMS: &[&str] = &["promisc", "allmulticast", "forward2kni", "link", "addr"];
const LATER: &[&str] = &[
    "lldp",
    "tc-egress",
    "tc-ingress",
    "bond-mode",
    "bond-slave",
    "bond-primary",
    "bond-xmit-policy",
    "bond-monitor-interval",
    "bond-link-up-prop",
    "bond-link-down-prop",
];

pub(crate) async fn run(context: &Context, verb: Verb, words: Words) -> Result<(), CliError> {
    match verb {
        Verb::Show => show::show(context, &parse_show(words)?).await,
        Verb::Set => {
            let request = parse_set(words)?;
            let mut client = LinkServiceClient::new(context.connect().await?);
            cli::done(client.set_link(request).await)?;
            Ok(())
        }
        Verb::Add | Verb::Del => Err(CliError::unsupported("'dpip link add' and 'del' (bonding)")),
        Verb::Flush => Err(invalid("flush")),
        Verb::Replace => Err(invalid("replace")),
    }
}

fn invalid(command: &str) -> CliError {
    CliError::failed(format!(
        "invalid command '{command}': links can only be shown and set"
    ))
}

/// Parses `[ dev ] [ NAME ]`. The result is empty for all devices.
fn parse_show(mut words: Words) -> Result<String, CliError> {
    let mut name = words.next().unwrap_or_default();
    if name == "dev" {
        name = words.value("dev")?;
    }
    match words.next().as_deref() {
        None => Ok(name),
        Some("status") => Err(CliError::unsupported("'dpip link show BOND status'")),
        Some(word) => Err(CliError::failed(format!(
            "unexpected argument '{word}': expected at most one device or worker"
        ))),
    }
}

fn parse_set(mut words: Words) -> Result<SetLinkRequest, CliError> {
    let usage = || {
        CliError::failed(
            "device or item is missing: give both, e.g. `dpip link set dpdk0 promisc on`",
        )
    };
    let mut name = words.next().ok_or_else(usage)?;
    if name == "dev" {
        name = words.next().ok_or_else(usage)?;
    }
    let mut request = SetLinkRequest {
        name,
        ..SetLinkRequest::default()
    };
    let mut item = words.next().ok_or_else(usage)?;
    loop {
        // ip-link(8) has `set DEVICE up`, DPVS `set DEVICE link up`.
        let (item_name, value) = match item.as_str() {
            "up" | "down" => ("link", item.clone()),
            other => (other, words.value(other)?),
        };
        match item_name {
            "promisc" => request.promiscuous = Some(switch(&value, "on", "off")?),
            "allmulticast" => request.all_multicast = Some(switch(&value, "on", "off")?),
            "forward2kni" => request.forward_to_kni = Some(switch(&value, "on", "off")?),
            "link" => request.up = Some(switch(&value, "up", "down")?),
            "addr" => request.mac = parse_mac(&value)?,
            later if LATER.contains(&later) => {
                return Err(CliError::unsupported(&format!("'{later}'")));
            }
            _ => return Err(unknown(item_name, ITEMS)),
        }
        match words.next() {
            Some(next) => item = next,
            None => return Ok(request),
        }
    }
}

fn switch(word: &str, on: &str, off: &str) -> Result<bool, CliError> {
    match word {
        _ if word == on => Ok(true),
        _ if word == off => Ok(false),
        _ => Err(unknown(word, &[on, off])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<SetLinkRequest, CliError> {
        parse_set(Words::new(
            line.split_whitespace().map(str::to_owned).collect(),
        ))
    }

    #[test]
    fn items_are_set_and_unknown_ones_named() {
        assert_eq!(parsed("dpdk0 promisc on").unwrap().promiscuous, Some(true));
        assert_eq!(parsed("dev dpdk0 link down").unwrap().up, Some(false));
        assert_eq!(parsed("dpdk0 up").unwrap().up, Some(true));
        let down = parsed("dpdk0 promisc on down").unwrap();
        assert_eq!((down.up, down.promiscuous), (Some(false), Some(true)));
        let two = parsed("dpdk0 allmulticast off forward2kni on").unwrap();
        assert_eq!(
            (two.all_multicast, two.forward_to_kni),
            (Some(false), Some(true))
        );
        let mac = parsed("dpdk0 addr 02:00:00:00:00:01").unwrap().mac;
        assert_eq!(mac, [2, 0, 0, 0, 0, 1]);
        for (line, part) in [
            ("dpdk0 promisc yes", "on, off"),
            ("dpdk0 promis on", "did you mean 'promisc'?"),
            ("dpdk0 promisc", "'promisc' needs a value"),
            ("dpdk0", "device or item is missing"),
            ("", "device or item is missing"),
            ("dpdk0 promisc on promisc off", "'promisc' is given twice"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(
                error.status == 1 && error.text.contains(part),
                "{line}: {error}"
            );
        }
        for later in ["bond0 bond-mode 4", "dpdk0 lldp up", "dpdk0 tc-egress on"] {
            assert_eq!(parsed(later).unwrap_err().status, 2, "{later}");
        }
    }

    #[test]
    fn one_name_is_shown_or_all() {
        let shown = |line: &str| {
            parse_show(Words::new(
                line.split_whitespace().map(str::to_owned).collect(),
            ))
        };
        assert_eq!(shown("").unwrap(), "");
        assert_eq!(shown("dpdk0").unwrap(), "dpdk0");
        assert_eq!(shown("dev dpdk0").unwrap(), "dpdk0");
        assert_eq!(shown("bond0 status").unwrap_err().status, 2);
        assert!(shown("dpdk0 dpdk1").unwrap_err().text.contains("'dpdk1'"));
    }
}
