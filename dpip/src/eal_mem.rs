//! `dpip eal-mem`: how memory is used. Pools are shown in DPVS's columns. Below them are the conn
//! table, counters and local ports of each worker, which DPVS does not show.

use cli::CliError;
use proto::v1::memory_service_client::MemoryServiceClient;
use proto::v1::{Empty, Memory, Mempool, WorkerMemory};
use serde_json::{Value, json};

use crate::words::{Words, unknown};
use crate::{Context, Verb};

const LATER: &[&str] = &["seg", "ring", "zone"];
const BYTES_PER_MB: f64 = (1 << 20) as f64;

/// Which memory is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    All,
    Pools,
    Workers,
}

impl Shown {
    const fn has_pools(self) -> bool {
        !matches!(self, Self::Workers)
    }

    const fn has_workers(self) -> bool {
        !matches!(self, Self::Pools)
    }
}

pub(crate) async fn run(context: &Context, verb: Verb, words: Words) -> Result<(), CliError> {
    if verb != Verb::Show {
        return Err(CliError::failed(
            "memory can only be shown: use `dpip eal-mem show`",
        ));
    }
    let shown = parse(words)?;
    let mut client = MemoryServiceClient::new(context.connect().await?);
    let memory = client.show_memory(Empty {}).await?.into_inner();
    if context.options.json {
        cli::print_json(&to_json(&memory, shown))
    } else {
        cli::print(&text(&memory, shown))
    }
}

/// Parses `[ pool | worker ]`. Without a word, both are shown.
fn parse(mut words: Words) -> Result<Shown, CliError> {
    let word = words.next();
    if let Some(second) = words.next() {
        return Err(CliError::failed(format!(
            "unexpected argument '{second}': expected at most one of pool and worker"
        )));
    }
    match word.as_deref() {
        None => Ok(Shown::All),
        Some("pool") => Ok(Shown::Pools),
        Some("worker") => Ok(Shown::Workers),
        Some(later) if LATER.contains(&later) => Err(CliError::unsupported(&format!(
            "'dpip eal-mem show {later}'"
        ))),
        Some(word) => Err(unknown(word, &["pool", "worker"])),
    }
}

fn text(memory: &Memory, shown: Shown) -> String {
    let mut text = String::new();
    if shown.has_pools() {
        text += &format!(
            "{:<20} {:>10} {:>10} {:>11} {:>12} {:>17} {:>10} {:>10} {:>10}\n",
            "pool_name",
            "flags",
            "elt_size",
            "header_size",
            "trailer_size",
            "private_data_size",
            "size",
            "used",
            "Mem(MB)"
        );
        text.extend(memory.pools.iter().map(pool));
    }
    if shown.has_workers() {
        text += &format!(
            "{:<20} {:>10} {:>10} {:>14} {:>14} {:>14} {:>14} {:>10}\n",
            "worker",
            "max_conns",
            "conns",
            "conn_table",
            "bytes/conn",
            "counters",
            "local_ports",
            "Mem(MB)"
        );
        text.extend(memory.workers.iter().map(worker));
    }
    text
}

fn pool(pool: &Mempool) -> String {
    format!(
        "{:<20} {:>10} {:>10} {:>11} {:>12} {:>17} {:>10} {:>10} {:>10.1}\n",
        pool.name,
        format!("{:x}", pool.flags),
        pool.element_bytes,
        pool.header_bytes,
        pool.trailer_bytes,
        pool.private_bytes,
        pool.size,
        pool.used,
        pool.memory_bytes as f64 / BYTES_PER_MB
    )
}

fn worker(worker: &WorkerMemory) -> String {
    format!(
        "{:<20} {:>10} {:>10} {:>14} {:>14.1} {:>14} {:>14} {:>10.1}\n",
        format!("cpu{}", worker.lcore),
        worker.max_conns,
        worker.conns,
        worker.conn_table_bytes,
        bytes_per_conn(worker),
        worker.counter_bytes,
        worker.local_port_bytes,
        total_bytes(worker) as f64 / BYTES_PER_MB
    )
}

/// Bytes for each conn of a full table. The bit of its local port is not counted.
fn bytes_per_conn(worker: &WorkerMemory) -> f64 {
    worker.conn_table_bytes as f64 / worker.max_conns.max(1) as f64
}

const fn total_bytes(worker: &WorkerMemory) -> u64 {
    worker.conn_table_bytes + worker.counter_bytes + worker.local_port_bytes
}

fn to_json(memory: &Memory, shown: Shown) -> Value {
    let pools = memory.pools.iter().map(|pool| {
        json!({
            "name": pool.name, "flags": pool.flags, "elt_size": pool.element_bytes,
            "header_size": pool.header_bytes, "trailer_size": pool.trailer_bytes,
            "private_data_size": pool.private_bytes, "size": pool.size, "used": pool.used,
            "bytes": pool.memory_bytes,
        })
    });
    let workers = memory.workers.iter().map(|worker| {
        json!({
            "name": format!("cpu{}", worker.lcore), "socket": worker.socket,
            "max_conns": worker.max_conns, "conns": worker.conns,
            "conn_table_bytes": worker.conn_table_bytes,
            "bytes_per_conn": (bytes_per_conn(worker) * 10.0).round() / 10.0,
            "counter_bytes": worker.counter_bytes, "local_port_bytes": worker.local_port_bytes,
            "bytes": total_bytes(worker),
        })
    });
    let mut object = serde_json::Map::new();
    if shown.has_pools() {
        object.insert("pools".to_owned(), pools.collect());
    }
    if shown.has_workers() {
        object.insert("workers".to_owned(), workers.collect());
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Shown, CliError> {
        parse(Words::new(
            line.split_whitespace().map(str::to_owned).collect(),
        ))
    }

    #[test]
    fn one_kind_is_shown_or_all() {
        assert_eq!(parsed("").unwrap(), Shown::All);
        assert_eq!(parsed("pool").unwrap(), Shown::Pools);
        assert_eq!(parsed("worker").unwrap(), Shown::Workers);
        assert_eq!(parsed("zone").unwrap_err().status, 2);
        assert!(parsed("pol").unwrap_err().text.contains("'pool'"));
        assert!(parsed("pool worker").unwrap_err().text.contains("'worker'"));
    }
}
