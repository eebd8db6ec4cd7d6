//! What tools are called.

use std::collections::HashSet;

use crate::keys::murmur3_x64_128;

/// Letters of a name at most.
const LONGEST: usize = 128;

/// Whether something may be called so (MCP 2025-11-25, "Tool Names").
pub(super) fn is_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// What is said of a name that is none.
pub(super) const NO_NAME: &str = "a tool has a name of 1 to 128 letters, digits, `_`, `-` and `.`";

/// A name for an operation that has no id: of its method and path, and the same every time.
pub(super) fn of_place(method: &str, path: &str, taken: &HashSet<Box<str>>) -> Box<str> {
    let mut name = method.to_ascii_lowercase();
    for part in path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()) {
        name.push('_');
        name.push_str(part);
    }
    name.truncate(LONGEST);
    if !taken.contains(&*name) {
        return name.into();
    }
    let (digest, _) = murmur3_x64_128(format!("{method} {path}").as_bytes());
    name.truncate(LONGEST - 16);
    let name = format!("{name}_{:08x}", digest >> 32);
    let mut names = std::iter::once(name.clone()).chain((0u32..).map(|count| format!("{name}_{count}")));
    // There are more numbers than names.
    names.find(|name| !taken.contains(&**name)).unwrap_or(name).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_without_an_id_are_called_by_method_and_path() {
        let mut taken = HashSet::new();
        for (method, path, expected) in [
            ("GET", "/orders/{id}", "get_orders_id"),
            ("POST", "/", "post"),
            ("GET", "/v1.0/my-orders//{order_id}.json", "get_v1_0_my_orders_order_id_json"),
        ] {
            let name = of_place(method, path, &taken);
            assert_eq!(&*name, expected);
            taken.insert(name);
        }
        let second = of_place("GET", "/orders/id", &taken);
        assert!(
            second.starts_with("get_orders_id_") && second.len() == "get_orders_id_".len() + 8,
            "{second}"
        );
        assert_eq!(of_place("GET", "/orders/id", &taken), second, "the same every time");
        taken.insert(second.clone());
        assert_eq!(&*of_place("GET", "/orders/id", &taken), format!("{second}_0"));
        let long = of_place("GET", &"/a".repeat(500), &taken);
        assert!(is_name(&long), "{long}");
        taken.insert(long);
        assert!(is_name(&of_place("GET", &"/a".repeat(500), &taken)));
    }

    #[test]
    fn names_are_held_to_what_clients_take() {
        for (name, fits) in [
            ("get_order.v-1", true),
            ("", false),
            ("get order", false),
            ("é", false),
            (&*"x".repeat(128), true),
            (&*"x".repeat(129), false),
        ] {
            assert_eq!(is_name(name), fits, "{name}");
        }
    }
}
