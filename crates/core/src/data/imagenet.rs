//! Names of ImageNet's classes.

/// How many there are.
pub const CLASSES: usize = 1000;

/// In the order that published weights use, as torchvision spells them. A few name two classes.
pub fn class_names() -> Vec<String> {
    include_str!("imagenet.txt").lines().map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::{CLASSES, class_names};

    #[test]
    fn names_stand_where_they_should() {
        let names = class_names();
        assert_eq!(names.len(), CLASSES);
        assert_eq!([0, 281, 999].map(|index| names[index].as_str()), ["tench", "tabby", "toilet tissue"]);
    }
}
