//! `dpip link`: devices and worker lcores.

use std::time::{Duration, Instant};

use cli::CliError;
use proto::v1::link_service_client::LinkServiceClient;
use proto::v1::{Link, ListLinksRequest, ListWorkersRequest, SetLinkRequest, Worker};
use serde_json::Value;
use tonic::transport::Channel;

use crate::link_output as output;
use crate::neigh::parse_mac;
use crate::words::{Words, unknown};
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

pub async fn run(context: &Context, verb: Verb, words: Words) -> Result<(), CliError> {
    match verb {
        Verb::Show => show(context, &parse_show(words)?).await,
        Verb::Set => {
            let request = parse_set(words)?;
            let mut client = LinkServiceClient::new(context.connect().await?);
            client.set_link(request).await?;
            Ok(())
        }
        Verb::Add | Verb::Del => Err(CliError::unsupported("'dpip link add' and 'del' (bonding)")),
        Verb::Flush => Err(CliError::failed(
            "invalid command 'flush': links can only be shown and set",
        )),
    }
}

/// `[ dev ] [ NAME ]`; empty for all devices.
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
        let value = words.value(&item)?;
        match item.as_str() {
            "promisc" => request.promiscuous = Some(switch(&value, "on", "off")?),
            "allmulticast" => request.all_multicast = Some(switch(&value, "on", "off")?),
            "forward2kni" => request.forward_to_kni = Some(switch(&value, "on", "off")?),
            "link" => request.up = Some(switch(&value, "up", "down")?),
            "addr" => request.mac = parse_mac(&value)?,
            later if LATER.contains(&later) => {
                return Err(CliError::unsupported(&format!("'{later}'")));
            }
            _ => return Err(unknown(&item, ITEMS)),
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

/// What is shown: devices or workers, all or one.
enum Shown {
    Links(Vec<Link>),
    Workers(Vec<Worker>),
}

async fn fetch(channel: &Channel, name: &str) -> Result<Shown, CliError> {
    let mut client =
        LinkServiceClient::new(channel.clone()).max_decoding_message_size(cli::MAX_ANSWER_BYTES);
    if name.starts_with("cpu") {
        // `cpu` alone is all of them.
        let name = if name == "cpu" { "" } else { name }.to_owned();
        let answer = client.list_workers(ListWorkersRequest { name }).await?;
        return Ok(Shown::Workers(answer.into_inner().workers));
    }
    let name = name.to_owned();
    let answer = client.list_links(ListLinksRequest { name }).await?;
    Ok(Shown::Links(answer.into_inner().links))
}

async fn show(context: &Context, name: &str) -> Result<(), CliError> {
    let channel = context.connect().await?;
    let options = &context.options;
    let now = fetch(&channel, name).await?;
    if options.interval.is_some() || options.count.is_some() {
        return show_samples(context, &channel, name, now).await;
    }
    if options.json {
        return cli::print_json(&json(&now));
    }
    let (stats, verbose) = (options.stats, options.verbose);
    cli::print(&match &now {
        Shown::Links(links) => links
            .iter()
            .map(|link| output::link(link, stats, verbose))
            .collect::<String>(),
        Shown::Workers(workers) => workers
            .iter()
            .map(|worker| output::worker(worker, stats, verbose))
            .collect::<String>(),
    })
}

/// `-i` and `-c`: counters per second, again and again; with `--json` the counters, one line a sample.
async fn show_samples(
    context: &Context,
    channel: &Channel,
    name: &str,
    mut before: Shown,
) -> Result<(), CliError> {
    let interval = context.options.interval.unwrap_or(Duration::from_secs(1));
    let mut left = context.options.count;
    while left != Some(0) {
        let began = Instant::now();
        tokio::time::sleep(interval).await;
        let now = fetch(channel, name).await?;
        if context.options.json {
            cli::print_json_line(&json(&now))?;
        } else {
            cli::print(&rates(&before, &now, began.elapsed()))?;
        }
        before = now;
        left = left.map(|left| left - 1);
    }
    Ok(())
}

/// Counters per second of everything that is in both samples.
fn rates(before: &Shown, now: &Shown, elapsed: Duration) -> String {
    match (before, now) {
        (Shown::Links(before), Shown::Links(now)) => now
            .iter()
            .filter_map(|new| Some((before.iter().find(|old| old.name == new.name)?, new)))
            .map(|(old, new)| output::link_rates(old, new, elapsed))
            .collect(),
        (Shown::Workers(before), Shown::Workers(now)) => now
            .iter()
            .filter_map(|new| Some((before.iter().find(|old| old.lcore == new.lcore)?, new)))
            .map(|(old, new)| output::worker_rates(old, new, elapsed))
            .collect(),
        _ => String::new(),
    }
}

fn json(shown: &Shown) -> Value {
    match shown {
        Shown::Links(links) => links.iter().map(output::link_json).collect(),
        Shown::Workers(workers) => workers.iter().map(output::worker_json).collect(),
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

    #[test]
    fn rates_are_of_what_is_in_both_samples() {
        let link = |name: &str, ipackets| Link {
            name: name.into(),
            stats: Some(proto::v1::LinkStats {
                ipackets,
                ..Default::default()
            }),
            ..Link::default()
        };
        let before = Shown::Links(vec![link("dpdk0", 100), link("dpdk1", 0)]);
        let now = Shown::Links(vec![link("dpdk1", 50), link("dpdk2", 7)]);
        let text = rates(&before, &now, Duration::from_secs(2));
        assert!(
            text.contains("dpdk1") && text.contains("\n    25 "),
            "{text}"
        );
        assert!(!text.contains("dpdk0") && !text.contains("dpdk2"), "{text}");
    }
}
