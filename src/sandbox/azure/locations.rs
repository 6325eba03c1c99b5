//! Azure's regions, as `GET /subscriptions/ID/locations` lists them.

/// A region: its name and what people call it.
pub(super) struct Region {
    /// `westeurope`
    pub(super) name: &'static str,
    /// `West Europe`
    pub(super) display: &'static str,
}

/// Short hand for the table below.
const fn region(name: &'static str, display: &'static str) -> Region {
    Region { name, display }
}

/// The public cloud's physical regions.
pub(super) static REGIONS: &[Region] = &[
    region("australiacentral", "Australia Central"),
    region("australiaeast", "Australia East"),
    region("australiasoutheast", "Australia Southeast"),
    region("austriaeast", "Austria East"),
    region("belgiumcentral", "Belgium Central"),
    region("brazilsouth", "Brazil South"),
    region("canadacentral", "Canada Central"),
    region("canadaeast", "Canada East"),
    region("centralindia", "Central India"),
    region("centralus", "Central US"),
    region("chilecentral", "Chile Central"),
    region("eastasia", "East Asia"),
    region("eastus", "East US"),
    region("eastus2", "East US 2"),
    region("francecentral", "France Central"),
    region("germanywestcentral", "Germany West Central"),
    region("indonesiacentral", "Indonesia Central"),
    region("israelcentral", "Israel Central"),
    region("italynorth", "Italy North"),
    region("japaneast", "Japan East"),
    region("japanwest", "Japan West"),
    region("koreacentral", "Korea Central"),
    region("koreasouth", "Korea South"),
    region("malaysiawest", "Malaysia West"),
    region("mexicocentral", "Mexico Central"),
    region("newzealandnorth", "New Zealand North"),
    region("northcentralus", "North Central US"),
    region("northeurope", "North Europe"),
    region("norwayeast", "Norway East"),
    region("polandcentral", "Poland Central"),
    region("qatarcentral", "Qatar Central"),
    region("southafricanorth", "South Africa North"),
    region("southcentralus", "South Central US"),
    region("southeastasia", "Southeast Asia"),
    region("southindia", "South India"),
    region("spaincentral", "Spain Central"),
    region("swedencentral", "Sweden Central"),
    region("switzerlandnorth", "Switzerland North"),
    region("switzerlandwest", "Switzerland West"),
    region("uaenorth", "UAE North"),
    region("uksouth", "UK South"),
    region("ukwest", "UK West"),
    region("westcentralus", "West Central US"),
    region("westeurope", "West Europe"),
    region("westindia", "West India"),
    region("westus", "West US"),
    region("westus2", "West US 2"),
    region("westus3", "West US 3"),
];

/// `West Europe`, `WestEurope` and `westeurope` are one location.
pub(super) fn normalise(location: &str) -> String {
    location.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

/// Whether a normalised location is a region.
pub(super) fn exists(normalised: &str) -> bool {
    REGIONS.iter().any(|region| region.name == normalised)
}

/// Every name, as error messages list them.
pub(super) fn list() -> String {
    REGIONS.iter().map(|region| region.name).collect::<Vec<_>>().join(",")
}
