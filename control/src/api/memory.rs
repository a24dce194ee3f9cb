//! `dpip eal-mem`: what takes memory.

use ipvs_core::{DestStats, WorkerStats};
use proto::v1;
use tonic::{Request, Response, Status};

use super::Api;
use crate::platform::PoolInfo;
use crate::publish::WorkerHandle;

#[tonic::async_trait]
impl v1::memory_service_server::MemoryService for Api {
    async fn show_memory(&self, _: Request<v1::Empty>) -> Result<Response<v1::Memory>, Status> {
        let workers = self.control.read(|state| {
            let numbered = (0..).zip(state.workers.handles());
            let workers = numbered
                .map(|(number, worker)| worker_message(worker, state.port_pools.bytes_of(number)));
            workers.collect()
        });
        let pools = self.control.platform.pools();
        Ok(Response::new(v1::Memory {
            pools: pools.into_iter().map(pool_message).collect(),
            workers,
        }))
    }
}

fn worker_message(worker: &WorkerHandle, local_port_bytes: usize) -> v1::WorkerMemory {
    let counter_bytes =
        size_of::<WorkerStats>() + worker.stats.max_dests() * size_of::<DestStats>();
    v1::WorkerMemory {
        lcore: worker.lcore,
        socket: worker.socket,
        max_conns: worker.conn_table.max_conns.into(),
        conns: worker.stats.conns.get(),
        conn_table_bytes: worker.conn_table.bytes as u64,
        counter_bytes: counter_bytes as u64,
        local_port_bytes: local_port_bytes as u64,
    }
}

fn pool_message(pool: PoolInfo) -> v1::Mempool {
    v1::Mempool {
        name: pool.name,
        flags: pool.flags,
        element_bytes: pool.element_bytes,
        header_bytes: pool.header_bytes,
        trailer_bytes: pool.trailer_bytes,
        private_bytes: pool.private_bytes,
        size: pool.size,
        used: pool.used,
        memory_bytes: pool.memory_bytes,
    }
}
