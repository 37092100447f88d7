//! Where the nodes of a lattice stand: groups one below the other, in each of them layers by how many steps are moved.
//!
//! Invariant: no two nodes overlap, and each has room for the whole of its text; a layer that is too wide goes on below.

use super::lattice::{Group, Lattice};
use crate::layout::{ADVANCE, NOTE_ADVANCE, pixels};

/// Nodes beside each other at most.
const ABREAST: usize = 5;
/// Letters of an order in one line.
pub(super) const LINE_LETTERS: usize = 40;
/// From line to line in a node.
pub(super) const LINE: usize = 16;
/// Around everything.
pub(super) const EDGE: usize = 16;
/// The line above a group.
pub(super) const HEAD: usize = 34;

const BESIDE: usize = 22;
const BELOW: usize = 34;
const MARGIN: usize = 10;
/// Where a layer's name stands.
const NAMES: usize = 84;

/// A node's place.
pub(super) struct Box {
    pub(super) group: usize,
    pub(super) node: usize,
    pub(super) left: usize,
    pub(super) top: usize,
}

/// A layer's name.
pub(super) struct Layer {
    pub(super) top: usize,
    pub(super) moved: usize,
}

/// All places.
pub(super) struct Layout {
    pub(super) boxes: Vec<Box>,
    pub(super) layers: Vec<Layer>,
    /// Where each group begins.
    pub(super) groups: Vec<usize>,
    pub(super) box_width: usize,
    pub(super) box_height: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Layout {
    /// Below `top`, which others need.
    pub(super) fn new(lattice: &Lattice, top: usize) -> Self {
        let nodes = || lattice.groups.iter().flat_map(|group| &group.nodes);
        let letters = nodes().flat_map(|node| lines(&node.order)).map(|line| line.chars().count());
        let verdicts: usize = lattice.users.iter().map(|user| user.chars().count() + 3).sum();
        let widest =
            letters.map(|letters| pixels(letters, ADVANCE)).chain([pixels(verdicts + 4, NOTE_ADVANCE)]);
        let tallest = nodes().map(|node| lines(&node.order).len()).fold(1, usize::max);
        let mut layout = Self {
            boxes: Vec::new(),
            layers: Vec::new(),
            groups: Vec::new(),
            box_width: widest.fold(0, usize::max) + 2 * MARGIN,
            box_height: (tallest + 1) * LINE + MARGIN,
            width: 0,
            height: top,
        };
        for (index, group) in lattice.groups.iter().enumerate() {
            layout.group(index, group);
        }
        let right = layout.boxes.iter().map(|place| place.left + layout.box_width).fold(0, usize::max);
        (layout.width, layout.height) = (right + EDGE, layout.height + EDGE);
        layout
    }

    fn group(&mut self, index: usize, group: &Group) {
        self.groups.push(self.height);
        self.height += HEAD;
        let mut layers: Vec<usize> = group.nodes.iter().map(|node| node.moved).collect();
        layers.sort_unstable();
        layers.dedup();
        for moved in layers {
            self.layers.push(Layer { top: self.height, moved });
            let of_layer = (0..group.nodes.len()).filter(|node| group.nodes[*node].moved == moved);
            let of_layer: Vec<usize> = of_layer.collect();
            for abreast in of_layer.chunks(ABREAST) {
                for (node, column) in abreast.iter().zip(0..) {
                    let left = EDGE + NAMES + column * (self.box_width + BESIDE);
                    self.boxes.push(Box { group: index, node: *node, left, top: self.height });
                }
                self.height += self.box_height + BELOW;
            }
        }
    }
}

/// An order in lines.
pub(super) fn lines(order: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for name in order.split(' ') {
        let last = found.last_mut().expect("there is a line");
        if last.is_empty() {
            last.push_str(name);
        } else if last.chars().count() + 1 + name.chars().count() <= LINE_LETTERS {
            last.push(' ');
            last.push_str(name);
        } else {
            found.push(name.to_owned());
        }
    }
    found
}
