//! The last sentences of the report: what the proved orders are.
//!
//! Invariant: nothing is said of an order that was not judged.

use super::report::{Report, Which};

/// A number of orders.
pub(super) fn count(orders: Option<u128>) -> String {
    orders.map_or_else(|| "uncounted".to_owned(), |count| count.to_string())
}

impl Report {
    pub(super) fn conclusion(&self) -> String {
        let all = count(self.all_orders);
        match (self.shape, self.orders) {
            (Which::One, Some(1)) => "This is the only order that is proved.".to_owned(),
            (Which::One, orders) => {
                format!("All {} orders that keep them are proved, and no other of {all}.", count(orders))
            }
            (Which::Several, _) => self.several(&all),
            (Which::Unknown, orders) => format!(
                "BOUND HIT: all {} orders that keep them are proved; which others of {all} are was not decided.",
                count(orders)
            ),
        }
    }

    fn several(&self, all: &str) -> String {
        let proved = count(self.proved_orders);
        let sets = 1 + self.others.len();
        let common = self.common.iter();
        let common =
            common.map(|need| format!("{} before {}", self.named(need.first), self.named(need.then)));
        let common = common.collect::<Vec<_>>().join("; ");
        let needed = if common.is_empty() { "nothing is needed in all of them" } else { common.as_str() };
        format!(
            "{proved} of {all} orders are proved, and no set of needs says which: none of them is kept by exactly these.\n\
             {} of them keep one of {sets} sets of needs, {} the first, which is shown beside the rows. All orders that\n\
             keep a set are proved, and no set can do without one of its needs. In every proved order: {needed}.",
            count(self.covered_orders),
            count(self.orders)
        )
    }
}
