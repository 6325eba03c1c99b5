//! Drafts -> resources: names filled in, properties checked by their type's schema, identities unique.

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use crate::model::{
    Address, Cloud, CloudId, Clouds, Diagnostic, Location, Path, Property, Reference, Resource, ResourceType,
    Schema, Shape, Stack,
};

use super::content;
use super::drafts::Draft;
use super::node::{Entry, Kind, Node};
use super::report::{Report, wrong};
use super::shape::{Checker, Patterns, descend};

/// The schema of every address, to know what references refer to.
pub(super) type Schemas = BTreeMap<Address, &'static Schema>;

/// What checking needs to know.
pub(super) struct Check<'a> {
    pub(super) folder: &'a FilePath,
    /// Whether the `clouds` section is sound: rules that need it wait until it is.
    pub(super) placed: bool,
    pub(super) patterns: &'a Patterns,
}

impl Check<'_> {
    /// Fills in what the user left to mcm: the name in the cloud, and the files of a folder.
    pub(super) fn complete(&self, draft: &mut Draft, stack: &Stack, report: &mut Report) {
        if draft.ty.as_str() == content::TYPE {
            draft.properties = content::fill(&draft.properties, self.folder, report);
        }
        let Some(rule) = draft.schema.name else { return };
        if !self.placed || !stack.clouds.has(draft.ty.cloud()) {
            return;
        }
        let given = draft.properties.get(rule.property).is_some_and(|node| !node.is_null());
        if given {
            return;
        }
        let name = (rule.default)(&stack.name, &draft.logical, &stack.clouds);
        if let Some(Property { shape: Shape::Text(text), .. }) = draft.schema.property(rule.property)
            && let Some(why) = Checker::of_keys(report, self.patterns).breaks(&name, text)
        {
            let summary = format!("the default name {name:?} of `{}` is not valid: {why}", draft.logical);
            report.error(&draft.place, summary, format!("set `{}` yourself", rule.property));
            return;
        }
        if let Kind::Map(entries) = &mut draft.properties.kind {
            entries.retain(|entry| entry.key != rule.property);
            entries.push(Entry {
                key: rule.property.to_owned(),
                key_place: draft.place.clone(),
                value: Node::new(Kind::Text(name), draft.place.clone()),
            });
        }
    }

    /// The resource, its properties checked.
    pub(super) fn resource(
        &self,
        draft: &Draft,
        clouds: &Clouds,
        schemas: &Schemas,
        report: &mut Report,
    ) -> Resource {
        let before = report.errors();
        let target = |reference: &Reference| shape_of(reference, schemas);
        let mut checker = Checker {
            report,
            patterns: self.patterns,
            target: &target,
            noun: "property",
            locations: BTreeMap::new(),
        };
        let what = format!("`{}` of type {}", draft.logical, draft.ty);
        // A name that mcm would give is missed only because of a mistake elsewhere.
        let named = draft.schema.name.map_or("", |rule| rule.property);
        let given = |property: &Property| Property {
            required: property.required && property.name != named,
            ..*property
        };
        let rules: Vec<Property> = draft.schema.properties.iter().map(given).collect();
        let properties = checker.object(&draft.properties, &rules, &Path::default(), &what, &draft.place);
        let locations = checker.locations;
        if self.placed && draft.sound && report.errors() == before {
            for why in (draft.schema.check)(&properties, clouds) {
                let location = mentioned(&why, &locations).unwrap_or_else(|| draft.place.location());
                let hint = format!("see the vendor's documentation of {}", draft.ty);
                report.push(Diagnostic::error(format!("`{}`: {why}", draft.logical)).at(location).hint(hint));
            }
        }
        Resource {
            address: draft.address.clone(),
            ty: draft.ty.clone(),
            schema: draft.schema,
            properties,
            depends_on: draft.depends_on.iter().cloned().collect(),
            lifecycle: draft.lifecycle,
            location: Some(draft.place.location()),
            property_locations: locations,
        }
    }

    /// Tells of each cloud that is used and has no entry, once.
    pub(super) fn clouds_present(&self, drafts: &[Draft], clouds: &Clouds, report: &mut Report) {
        if !self.placed {
            return;
        }
        for cloud in [Cloud::Aws, Cloud::Gcp, Cloud::Azure] {
            let user = drafts.iter().find(|draft| draft.ty.cloud() == cloud);
            if let Some(draft) = user.filter(|_| !clouds.has(cloud)) {
                let (key, example) = match cloud {
                    Cloud::Aws => ("aws", "aws: { account: \"123456789012\", region: us-east-1 }"),
                    Cloud::Gcp => ("gcp", "gcp: { project: my-project }"),
                    Cloud::Azure => {
                        ("azure", "azure: { subscription: …, resourceGroup: my-group, location: eastus }")
                    }
                };
                let summary = format!("`{}` is of {cloud}, but `clouds` has no `{key}`", draft.logical);
                let detail =
                    "the entry says where resources go, and keeps mcm from touching any other account";
                let hint = format!("add below `clouds:`: `{example}`");
                report.push(wrong(&draft.place, summary).detail(detail).hint(hint));
            }
        }
    }

    /// Two resources that are one object in the cloud.
    pub(super) fn identities(&self, resources: &[Resource], clouds: &Clouds, report: &mut Report) {
        if !self.placed {
            return;
        }
        let mut seen: BTreeMap<(&ResourceType, CloudId), &Resource> = BTreeMap::new();
        for resource in resources.iter().filter(|resource| clouds.has(resource.ty.cloud())) {
            let Some(id) = (resource.schema.identify)(&resource.properties, clouds) else { continue };
            let Some(first) = seen.get(&(&resource.ty, id.clone())) else {
                seen.insert((&resource.ty, id), resource);
                continue;
            };
            let line = first.location.as_ref().map_or(0, |location| location.line);
            let summary =
                format!("{} and {} are the same {}: `{id}`", first.address, resource.address, resource.ty);
            let hint = format!("the other one stands on line {line}: give one another name, or remove it");
            report.push(Diagnostic::error(summary).at(resource.location.clone()).hint(hint));
        }
    }
}

/// The place of a property that a text speaks of.
fn mentioned(text: &str, locations: &BTreeMap<String, Location>) -> Option<Location> {
    let quoted = text.split('`').skip(1).step_by(2);
    let plain = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 3);
    quoted.chain(plain).find_map(|word| locations.get(word).cloned())
}

/// The shape of what a reference refers to; attributes have none.
fn shape_of(reference: &Reference, schemas: &Schemas) -> Option<Shape> {
    let schema = schemas.get(&reference.address)?;
    if schema.attribute(&reference.attribute).is_some() {
        return None;
    }
    let (first, rest) = reference.attribute.split_first()?;
    descend(&schema.property(first)?.shape, rest)
}
