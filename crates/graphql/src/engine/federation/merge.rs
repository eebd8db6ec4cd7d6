//! The schema of a supergraph: those of its parts, put together, without what only parts have to know.

use apollo_compiler::ast::{
    Definition, DirectiveList, Document, EnumTypeDefinition, FieldDefinition, InputObjectTypeDefinition,
    InterfaceTypeDefinition, ObjectTypeDefinition, UnionTypeDefinition,
};
use apollo_compiler::{Name, Node};

const DIRECTIVES: [&str; 5] = ["key", "external", "requires", "provides", "extends"];
const TYPES: [&str; 4] = ["_Any", "_FieldSet", "_Service", "_Entity"];
const FIELDS: [&str; 2] = ["_service", "_entities"];

/// Puts schemas together; what does not fit.
pub(super) fn merge(parts: &[(&str, &Document)]) -> Result<String, String> {
    let mut merged = Document::new();
    for (part, document) in parts {
        for definition in &document.definitions {
            let Some(definition) = whole(definition) else { continue };
            if definition.name().is_some_and(|name| TYPES.contains(&name.as_str())) {
                continue;
            }
            let same = |known: &&mut Definition| {
                known.name() == definition.name()
                    && matches!(known, Definition::DirectiveDefinition(_))
                        == matches!(definition, Definition::DirectiveDefinition(_))
            };
            match merged.definitions.iter_mut().find(same) {
                None => {
                    let mut first = definition;
                    strip(&mut first);
                    merged.definitions.push(first);
                }
                Some(known) => add(known, definition)
                    .map_err(|why| format!("the part `{part}` does not fit the others: {why}"))?,
            }
        }
    }
    // A type all of whose fields were for federation is none.
    merged.definitions.retain(|definition| match definition {
        Definition::ObjectTypeDefinition(kind) => !kind.fields.is_empty(),
        _ => true,
    });
    Ok(merged.to_string())
}

/// A definition; an extension as one.
fn whole(definition: &Definition) -> Option<Definition> {
    Some(match definition.clone() {
        Definition::ObjectTypeExtension(kind) => {
            Definition::ObjectTypeDefinition(Node::new(ObjectTypeDefinition {
                description: None,
                name: kind.name.clone(),
                implements_interfaces: kind.implements_interfaces.clone(),
                directives: kind.directives.clone(),
                fields: kind.fields.clone(),
            }))
        }
        Definition::InterfaceTypeExtension(kind) => {
            Definition::InterfaceTypeDefinition(Node::new(InterfaceTypeDefinition {
                description: None,
                name: kind.name.clone(),
                implements_interfaces: kind.implements_interfaces.clone(),
                directives: kind.directives.clone(),
                fields: kind.fields.clone(),
            }))
        }
        Definition::UnionTypeExtension(kind) => {
            Definition::UnionTypeDefinition(Node::new(UnionTypeDefinition {
                description: None,
                name: kind.name.clone(),
                directives: kind.directives.clone(),
                members: kind.members.clone(),
            }))
        }
        Definition::EnumTypeExtension(kind) => {
            Definition::EnumTypeDefinition(Node::new(EnumTypeDefinition {
                description: None,
                name: kind.name.clone(),
                directives: kind.directives.clone(),
                values: kind.values.clone(),
            }))
        }
        Definition::InputObjectTypeExtension(kind) => {
            Definition::InputObjectTypeDefinition(Node::new(InputObjectTypeDefinition {
                description: None,
                name: kind.name.clone(),
                directives: kind.directives.clone(),
                fields: kind.fields.clone(),
            }))
        }
        Definition::DirectiveDefinition(directive) if DIRECTIVES.contains(&directive.name.as_str()) => {
            return None;
        }
        // The roots have their usual names.
        Definition::SchemaDefinition(_)
        | Definition::SchemaExtension(_)
        | Definition::ScalarTypeExtension(_)
        | Definition::OperationDefinition(_)
        | Definition::FragmentDefinition(_) => return None,
        definition => definition,
    })
}

fn strip(definition: &mut Definition) {
    match definition {
        Definition::ObjectTypeDefinition(kind) => {
            let kind = kind.make_mut();
            clean(&mut kind.directives);
            clean_fields(&mut kind.fields);
        }
        Definition::InterfaceTypeDefinition(kind) => {
            let kind = kind.make_mut();
            clean(&mut kind.directives);
            clean_fields(&mut kind.fields);
        }
        _ => {}
    }
}

fn clean(directives: &mut DirectiveList) {
    directives.0.retain(|directive| !DIRECTIVES.contains(&directive.name.as_str()));
}

fn clean_fields(fields: &mut Vec<Node<FieldDefinition>>) {
    fields.retain(|field| !FIELDS.contains(&field.name.as_str()));
    for field in fields {
        clean(&mut field.make_mut().directives);
    }
}

fn add(known: &mut Definition, other: Definition) -> Result<(), String> {
    match (known, other) {
        (Definition::ObjectTypeDefinition(known), Definition::ObjectTypeDefinition(other)) => {
            let known = known.make_mut();
            add_names(&mut known.implements_interfaces, &other.implements_interfaces);
            add_fields(&known.name, &mut known.fields, &other.fields)
        }
        (Definition::InterfaceTypeDefinition(known), Definition::InterfaceTypeDefinition(other)) => {
            let known = known.make_mut();
            add_names(&mut known.implements_interfaces, &other.implements_interfaces);
            add_fields(&known.name, &mut known.fields, &other.fields)
        }
        (Definition::UnionTypeDefinition(known), Definition::UnionTypeDefinition(other)) => {
            add_names(&mut known.make_mut().members, &other.members);
            Ok(())
        }
        (Definition::EnumTypeDefinition(known), Definition::EnumTypeDefinition(other)) => {
            let known = known.make_mut();
            for value in &other.values {
                if !known.values.iter().any(|one| one.value == value.value) {
                    known.values.push(value.clone());
                }
            }
            Ok(())
        }
        (Definition::InputObjectTypeDefinition(known), Definition::InputObjectTypeDefinition(other)) => {
            let known = known.make_mut();
            for field in &other.fields {
                if !known.fields.iter().any(|one| one.name == field.name) {
                    known.fields.push(field.clone());
                }
            }
            Ok(())
        }
        (Definition::ScalarTypeDefinition(_), Definition::ScalarTypeDefinition(_))
        | (Definition::DirectiveDefinition(_), Definition::DirectiveDefinition(_)) => Ok(()),
        (known, _) => {
            let name = known.name().map(ToString::to_string).unwrap_or_default();
            Err(format!("`{name}` is of another kind there"))
        }
    }
}

fn add_names(known: &mut Vec<Name>, others: &[Name]) {
    for name in others {
        if !known.contains(name) {
            known.push(name.clone());
        }
    }
}

fn add_fields(
    kind: &str,
    known: &mut Vec<Node<FieldDefinition>>,
    others: &[Node<FieldDefinition>],
) -> Result<(), String> {
    let mut others = others.to_vec();
    clean_fields(&mut others);
    for field in others {
        match known.iter().find(|one| one.name == field.name) {
            None => known.push(field),
            Some(one) if one.ty == field.ty => {}
            Some(one) => {
                return Err(format!(
                    "`{kind}.{}` is `{}` there and `{}` elsewhere",
                    field.name, field.ty, one.ty
                ));
            }
        }
    }
    Ok(())
}
