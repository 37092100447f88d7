//! Lattices as pictures, pages and graphs.

use ordering::engine::Options;
use ordering::generate::{Kind, OPERATIONS, Request, User, generate};

use super::Lattice;
use super::lattice::{Group, MOST_NODES, Node, cut};
use super::layout::Layout;

fn lattice(name: &str, users: &[User], moved: Option<usize>) -> Lattice {
    let operation = OPERATIONS.iter().copied().find(|operation| operation.name == name).unwrap();
    let request = Request { operation, users, moved, options: Options::default() };
    Lattice::new(&request, &generate(&request).unwrap())
}

fn cow() -> Lattice {
    lattice("cow", &[User::Vcpu, User::Device], Some(1))
}

#[test]
fn the_mail_is_read_off_the_boxes() {
    let lattice = cow();
    let box_of = |order: &str| {
        let mut nodes = lattice.groups.iter().flat_map(|group| &group.nodes);
        nodes.find(|node| node.order == order).map(|node| node.verdicts.clone())
    };
    let (safe, broken) = (Kind::Safe, Kind::Broken);
    assert_eq!(box_of("start clear flush notify set end"), Some(vec![safe, safe, safe]));
    // The vCPU is blocked by the range, and the device by nothing.
    assert_eq!(box_of("start clear flush set notify end"), Some(vec![safe, broken, broken]));
    assert_eq!(box_of("start notify clear flush set end"), Some(vec![safe, broken, broken]));
}

#[test]
fn no_two_boxes_overlap_and_all_are_on_the_paper() {
    let lattice = cow();
    let layout = Layout::new(&lattice, 50);
    let nodes: usize = lattice.groups.iter().map(|group| group.nodes.len()).sum();
    assert_eq!(layout.boxes.len(), nodes);
    for (at, one) in layout.boxes.iter().enumerate() {
        assert!(one.left + layout.box_width < layout.width && one.top + layout.box_height < layout.height);
        for other in &layout.boxes[at + 1..] {
            let apart_x = one.left.abs_diff(other.left) >= layout.box_width;
            let apart_y = one.top.abs_diff(other.top) >= layout.box_height;
            assert!(apart_x || apart_y, "{:?}", (one.left, one.top, other.left, other.top));
        }
    }
}

#[test]
fn what_is_written_is_well_formed_and_every_order_is_on_the_page() {
    let lattice = cow();
    for text in [lattice.svg(), lattice.html("")] {
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
        let document = roxmltree::Document::parse_with_options(&text, options).unwrap();
        let boxes = document
            .descendants()
            .filter(|node| node.attribute("class").is_some_and(|class| class.starts_with("order ")));
        assert_eq!(boxes.count(), lattice.groups.iter().map(|group| group.nodes.len()).sum::<usize>());
    }
    assert_eq!(lattice.html("").matches("<tr>").count(), lattice.rows.len() + 1);
}

#[test]
fn edges_of_the_graph_join_nodes_that_are_there() {
    let dot = cow().dot();
    let named = |name: &str| dot.contains(&format!("    {name} [label="));
    let edges: Vec<(&str, &str)> =
        dot.lines().filter_map(|line| line.trim().strip_suffix(';')?.split_once(" -- ")).collect();
    assert!(!edges.is_empty());
    assert!(edges.iter().all(|(one, other)| named(one) && named(other)), "{dot}");
}

#[test]
fn what_has_no_room_is_counted() {
    let node =
        |number| Node { number, order: String::new(), moved: 0, orders: 1, verdicts: vec![Kind::Safe] };
    let group =
        |from: usize, to: usize| Group { title: String::new(), nodes: (from..to).map(node).collect() };
    let mut groups = vec![group(0, MOST_NODES - 1), group(500, 504), group(600, 601)];
    assert_eq!(cut(&mut groups), 4);
    assert_eq!(groups.iter().map(|group| group.nodes.len()).collect::<Vec<_>>(), [MOST_NODES - 1, 1]);
}
