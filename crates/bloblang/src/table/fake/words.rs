//! What made-up data is made of.

pub(super) const MALE: &[&str] = &[
    "Adam", "Bela", "Carl", "Dario", "Emil", "Felix", "Georg", "Hugo", "Ivan", "Jonas", "Karim", "Luis",
    "Milan", "Noah", "Oscar", "Pavel", "Rafael", "Samuel", "Tomas", "Victor",
];
pub(super) const FEMALE: &[&str] = &[
    "Ada", "Bea", "Clara", "Dina", "Elena", "Fatima", "Greta", "Hanna", "Ines", "Julia", "Katya", "Lena",
    "Mara", "Nora", "Olga", "Paula", "Rosa", "Sofia", "Tessa", "Vera",
];
pub(super) const LAST: &[&str] = &[
    "Adler", "Bauer", "Costa", "Dubois", "Evans", "Fischer", "Garcia", "Hansen", "Ito", "Jansen", "Keller",
    "Lopez", "Moreau", "Novak", "Okafor", "Peters", "Rossi", "Silva", "Tanaka", "Weber",
];
pub(super) const CHINESE_FIRST: &[&str] = &[
    "伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳", "杰", "娟", "涛", "明", "超",
    "霞",
];
pub(super) const CHINESE_LAST: &[&str] = &[
    "王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "胡", "朱", "高", "林", "何",
    "郭",
];
pub(super) const WORDS: &[&str] = &[
    "amber", "basin", "cedar", "delta", "ember", "field", "grove", "harbor", "island", "jungle", "kettle",
    "lantern", "meadow", "needle", "orchard", "pebble", "quarry", "river", "sluice", "timber", "umbra",
    "valley", "willow", "yonder", "zephyr",
];
pub(super) const DOMAINS: &[&str] = &["com", "net", "org", "info", "biz"];
pub(super) const CURRENCIES: &[&str] = &[
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HUF", "INR", "JPY", "KRW", "MXN", "NOK",
    "NZD", "PLN", "SEK", "TRY", "USD", "ZAR",
];
pub(super) const MONTHS: &[&str] = &[
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: &[&str] =
    &["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
pub(super) const ZONES: &[&str] = &[
    "Africa/Cairo",
    "Africa/Lagos",
    "America/Bogota",
    "America/Chicago",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/London",
    "Europe/Paris",
    "Pacific/Auckland",
];
