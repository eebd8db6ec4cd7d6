//! Limits: how often and how much, and what is told about it.

pub(crate) mod at_once;
mod calls;
mod counter;
mod draws;
mod guard;
mod headers;
mod organisation;
mod pattern;
#[cfg(test)]
mod simulator;
mod size;
mod subscription;
pub(crate) mod told;
mod window;
mod windows;

pub(crate) use at_once::{AtOnce, Held, enter_connection};
pub(crate) use calls::CallLimits;
pub(crate) use counter::{Counter, Rate, alone_name};
pub(crate) use guard::{ConnectionRates, Context, Limits};
pub(crate) use headers::Budget;
pub(crate) use organisation::{Known as KnownOrganisation, Organisation, Organisations};
pub(crate) use pattern::Pattern;
pub(crate) use size::Sizes;
pub(crate) use subscription::{AtLimit, Passed, Received, names as subscriber_names};
pub(crate) use windows::Windows;
