//! `dpip link show`: devices and workers, once or again and again.

use std::time::{Duration, Instant};

use cli::CliError;
use proto::v1::link_service_client::LinkServiceClient;
use proto::v1::{Link, ListLinksRequest, ListWorkersRequest, Worker};
use serde_json::Value;
use tonic::transport::Channel;

use super::{device, worker};
use crate::Context;

/// What is shown: devices or workers.
enum Shown {
    Links(Vec<Link>),
    Workers(Vec<Worker>),
}

async fn fetch(channel: &Channel, name: &str) -> Result<Shown, CliError> {
    let mut client =
        LinkServiceClient::new(channel.clone()).max_decoding_message_size(cli::MAX_ANSWER_BYTES);
    if name.starts_with("cpu") {
        // `cpu` without a number means all workers.
        let name = if name == "cpu" { "" } else { name }.to_owned();
        let answer = client.list_workers(ListWorkersRequest { name }).await?;
        return Ok(Shown::Workers(answer.into_inner().workers));
    }
    let name = name.to_owned();
    let answer = client.list_links(ListLinksRequest { name }).await?;
    Ok(Shown::Links(answer.into_inner().links))
}

/// Shows the device or worker of a name. An empty name means all devices, `cpu` all workers.
pub(super) async fn show(context: &Context, name: &str) -> Result<(), CliError> {
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
            .map(|link| device::device(link, stats, verbose))
            .collect::<String>(),
        Shown::Workers(workers) => workers
            .iter()
            .map(|worker| worker::worker(worker, stats, verbose))
            .collect::<String>(),
    })
}

/// `-i` and `-c`: shows the counters per second, again and again. With `--json` every sample is a
/// line with the counters as they are.
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

/// Counters per second of the devices or workers that are in both samples.
fn rates(before: &Shown, now: &Shown, elapsed: Duration) -> String {
    match (before, now) {
        (Shown::Links(before), Shown::Links(now)) => now
            .iter()
            .filter_map(|new| Some((before.iter().find(|old| old.name == new.name)?, new)))
            .map(|(old, new)| device::device_rates(old, new, elapsed))
            .collect(),
        (Shown::Workers(before), Shown::Workers(now)) => now
            .iter()
            .filter_map(|new| Some((before.iter().find(|old| old.lcore == new.lcore)?, new)))
            .map(|(old, new)| worker::worker_rates(old, new, elapsed))
            .collect(),
        _ => String::new(),
    }
}

fn json(shown: &Shown) -> Value {
    match shown {
        Shown::Links(links) => links.iter().map(device::device_json).collect(),
        Shown::Workers(workers) => workers.iter().map(worker::worker_json).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
