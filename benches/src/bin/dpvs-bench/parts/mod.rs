//! What is measured, a file for each: `dpvs-bench --only` names them. A part uses `lab` and
//! `timing` and no other part.

pub(crate) mod arrivals;
pub(crate) mod churn;
pub(crate) mod established;
pub(crate) mod many;
pub(crate) mod stalls;
pub(crate) mod start;
pub(crate) mod syns;
pub(crate) mod testpmd;
