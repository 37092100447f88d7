//! What is drawn: classes of orders by what is left out, who they are safe for, and exchanges between them.
//!
//! Invariant: a node is there if its orders are safe for somebody; the rows are all orders.

use ordering::generate::{Generated, Kind, Order, Request, needs_of, summary};

/// Nodes that are drawn at most.
pub(super) const MOST_NODES: usize = 240;

/// The lattice of an operation's orders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lattice {
    /// What is shown, in a few words.
    pub(super) title: String,
    /// What was looked at, a line each.
    pub(super) told: Vec<String>,
    /// What each user needs, a line each.
    pub(super) needs: Vec<String>,
    /// The users, and all at once.
    pub(super) users: Vec<String>,
    /// By what is left out.
    pub(super) groups: Vec<Group>,
    /// Between nodes, by number.
    pub(super) edges: Vec<(usize, usize)>,
    /// Nodes that are not drawn.
    pub(super) left: usize,
    /// Every order with its verdicts.
    pub(super) rows: Vec<Row>,
}

/// Nodes of the same steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Group {
    pub(super) title: String,
    pub(super) nodes: Vec<Node>,
}

/// Orders with the same verdicts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Node {
    pub(super) number: usize,
    /// The nearest to the kernel's.
    pub(super) order: String,
    /// How many steps are moved there.
    pub(super) moved: usize,
    /// How many orders it stands for.
    pub(super) orders: usize,
    /// By user.
    pub(super) verdicts: Vec<Kind>,
}

/// An order in the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Row {
    pub(super) order: String,
    pub(super) moved: usize,
    pub(super) verdicts: Vec<Kind>,
    pub(super) minimal: bool,
}

/// How many users a node is safe for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Extent {
    /// Safe for all, at once.
    All,
    /// Safe for each alone, and not for all at once; or for some.
    Some,
}

impl Node {
    pub(super) fn extent(&self) -> Extent {
        let all = self.verdicts.iter().all(|kind| *kind == Kind::Safe);
        if all { Extent::All } else { Extent::Some }
    }
}

impl Lattice {
    /// Of what was found by this request.
    #[must_use]
    pub fn new(request: &Request<'_>, found: &Generated) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for (left_out, _) in &found.needs {
            let nodes = nodes(found, left_out);
            if !nodes.is_empty() {
                groups.push(Group { title: group_title(found, left_out), nodes });
            }
        }
        let left = cut(&mut groups);
        let is_drawn =
            |class: &usize| groups.iter().flat_map(|group| &group.nodes).any(|node| node.number == *class);
        let edges =
            found.exchanges.iter().filter(|(one, other)| is_drawn(one) && is_drawn(other)).copied().collect();
        Self {
            title: format!("{}: orders that are safe for somebody", request.operation.name),
            told: summary(request, found).lines().map(str::to_owned).collect(),
            needs: needs_of(request, found),
            users: request
                .users
                .iter()
                .map(|user| user.name().to_owned())
                .chain(["all".to_owned()])
                .collect(),
            rows: found.orders.iter().map(|order| row(found, order)).collect(),
            groups,
            edges,
            left,
        }
    }
}

fn group_title(found: &Generated, left_out: &[usize]) -> String {
    match left_out {
        [] => "with all steps".to_owned(),
        some => {
            let names: Vec<&str> = some.iter().map(|step| found.name(*step)).collect();
            format!("without {}", names.join(", "))
        }
    }
}

/// The classes of orders without these steps that are safe for somebody, the nearest to the kernel's first.
fn nodes(found: &Generated, left_out: &[usize]) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for order in found.orders.iter().filter(|order| order.left_out == left_out) {
        let verdicts = kinds(order);
        if !verdicts.contains(&Kind::Safe) {
            continue;
        }
        match nodes.iter_mut().find(|node| node.number == order.class) {
            Some(node) => node.orders += 1,
            None => nodes.push(Node {
                number: order.class,
                order: found.named(order).join(" "),
                moved: order.moved,
                orders: 1,
                verdicts,
            }),
        }
    }
    nodes
}

fn kinds(order: &Order) -> Vec<Kind> {
    order.judged.iter().map(|judged| judged.verdict.kind()).collect()
}

fn row(found: &Generated, order: &Order) -> Row {
    Row {
        order: found.named(order).join(" "),
        moved: order.moved,
        verdicts: kinds(order),
        minimal: order.minimal.contains(&true),
    }
}

/// Leaves out what is too much; how many nodes that are.
pub(super) fn cut(groups: &mut Vec<Group>) -> usize {
    let (mut room, mut left) = (MOST_NODES, 0);
    for group in groups.iter_mut() {
        left += group.nodes.len().saturating_sub(room);
        group.nodes.truncate(room);
        room -= group.nodes.len();
    }
    groups.retain(|group| !group.nodes.is_empty());
    left
}
