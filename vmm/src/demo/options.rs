//! What the demonstration is asked to do.

use std::time::Duration;

use steps::operation::{Order, cow, ksm};

use super::guest::CpuKind;
use super::stage::Cast;
use super::window::Widening;

/// An operation that can be demonstrated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Breaking COW.
    Cow,
    /// Merging with KSM.
    Ksm,
    /// The positive control: the right order, and writers that publish before they store.
    Control,
}

/// One order to be tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The operation.
    pub operation: Operation,
    /// The order.
    pub order: Order,
}

/// When a wrong order has been watched enough; a right one always has its whole time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchedFor {
    /// When it has shown itself.
    UntilShown,
    /// As long as a right one, so that counts can be compared.
    Alike,
}

/// All that can be asked.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Who takes part.
    pub cast: Cast,
    /// What is tried, in turn.
    pub trials: Vec<Trial>,
    /// How long a right order is watched; a wrong one may take three times as long to show itself.
    pub time: Duration,
    /// How wide the windows are.
    pub widening: Widening,
    /// When a wrong order has been watched enough.
    pub watching: WatchedFor,
    /// Where all choices come from.
    pub seed: u64,
    /// Places that the search for a counterexample looks at, at most.
    pub most_places: usize,
}

impl Operation {
    /// As it is printed and asked for.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cow => "cow",
            Self::Ksm => "ksm",
            Self::Control => "control",
        }
    }

    /// Its orders, right ones first.
    #[must_use]
    pub fn orders(self) -> Vec<Order> {
        match self {
            Self::Cow => cow::orders(),
            Self::Ksm => ksm::orders(),
            Self::Control => vec![control()],
        }
    }
}

/// Every order of the operations.
#[must_use]
pub fn trials(operations: &[Operation]) -> Vec<Trial> {
    let trial =
        |operation: Operation| operation.orders().into_iter().map(move |order| Trial { operation, order });
    operations.iter().copied().flat_map(trial).collect()
}

fn control() -> Order {
    Order {
        name: "publish-before-store",
        expected: steps::operation::Verdict::Violated,
        story: "the right order, and writers that publish too early: the detector must fire",
        program: cow::wp_page_copy(),
    }
}

impl Cast {
    /// Two vCPUs, one device, one CPU.
    #[must_use]
    pub const fn usual(cpu: CpuKind) -> Self {
        Self { cpu, vcpus: 2, devices: 1, cpus: 1 }
    }
}
