//! What holds for all calls: any client may call, however it behaves, and is told what is wrong.

mod bad_clients;
mod explaining;
mod stock_clients;
mod transactions;
mod unset_fields;
