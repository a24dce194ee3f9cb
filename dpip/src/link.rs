//! `dpip link`: devices and worker lcores.

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

pub async fn run(context: &Context, verb: Verb, mut words: Words) -> Result<(), CliError> {
    match verb {
        Verb::Show => {
            show(
                context,
                words
                    .next()
                    .filter(|word| word != "dev")
                    .or_else(|| words.next()),
            )
            .await
        }
        Verb::Set => {
            let request = parse_set(words)?;
            LinkServiceClient::new(context.connect().await?)
                .set_link(request)
                .await?;
            Ok(())
        }
        Verb::Add | Verb::Del | Verb::Flush => {
            Err(CliError::unsupported("'dpip link add' and 'del' (bonding)"))
        }
    }
}

fn parse_set(mut words: Words) -> Result<SetLinkRequest, CliError> {
    let usage = || CliError::failed("say what to set, as in `dpip link set dpdk0 promisc on`");
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

async fn fetch(channel: &Channel, name: Option<&str>) -> Result<Shown, CliError> {
    let mut client = LinkServiceClient::new(channel.clone());
    Ok(match name {
        Some(name) if name.starts_with("cpu") => {
            // `cpu` alone is all of them.
            let name = if name == "cpu" {
                String::new()
            } else {
                name.to_owned()
            };
            Shown::Workers(
                client
                    .list_workers(ListWorkersRequest { name })
                    .await?
                    .into_inner()
                    .workers,
            )
        }
        name => {
            let name = name.unwrap_or_default().to_owned();
            Shown::Links(
                client
                    .list_links(ListLinksRequest { name })
                    .await?
                    .into_inner()
                    .links,
            )
        }
    })
}

async fn show(context: &Context, name: Option<String>) -> Result<(), CliError> {
    let channel = context.connect().await?;
    let options = &context.options;
    let mut before = fetch(&channel, name.as_deref()).await?;
    let Some(interval) = options.interval.filter(|_| options.stats) else {
        return match &before {
            _ if options.json => cli::print_json(&json(&before)),
            Shown::Links(links) => cli::print(
                &links
                    .iter()
                    .map(|link| output::link(link, options.stats, options.verbose))
                    .collect::<String>(),
            ),
            Shown::Workers(workers) => cli::print(
                &workers
                    .iter()
                    .map(|worker| output::worker(worker, options.stats, options.verbose))
                    .collect::<String>(),
            ),
        };
    };
    let mut left = options.count.unwrap_or(u32::MAX);
    while left > 0 {
        tokio::time::sleep(interval).await;
        let now = fetch(&channel, name.as_deref()).await?;
        let seconds = interval.as_secs().max(1);
        let text: String = match (&before, &now) {
            (Shown::Links(old), Shown::Links(new)) => old
                .iter()
                .zip(new)
                .map(|(old, new)| output::link_rates(old, new, seconds))
                .collect(),
            (Shown::Workers(old), Shown::Workers(new)) => old
                .iter()
                .zip(new)
                .map(|(old, new)| output::worker_rates(old, new, seconds))
                .collect(),
            _ => String::new(),
        };
        cli::print(&text)?;
        before = now;
        left -= 1;
    }
    Ok(())
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
        assert_eq!(parsed("dpdk0 link down").unwrap().up, Some(false));
        assert!(
            parsed("dpdk0 promisc yes")
                .unwrap_err()
                .text
                .contains("on, off")
        );
        assert!(
            parsed("dpdk0 promis on")
                .unwrap_err()
                .text
                .contains("'promisc'")
        );
        assert_eq!(parsed("bond0 bond-mode 4").unwrap_err().status, 2);
    }
}
