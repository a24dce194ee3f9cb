//! What is measured, a file for each: `dpvs-bench --only` names them. A part uses `lab` and
//! `timing` and no other part.

pub mod arrivals;
pub mod churn;
pub mod established;
pub mod many;
pub mod stalls;
pub mod start;
pub mod syns;
pub mod testpmd;
