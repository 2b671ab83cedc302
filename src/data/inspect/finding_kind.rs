//! The faults that are looked for.

use serde::{Serialize, Serializer};

/// What a finding means for a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It ends a training, takes images from it, or spoils what it learns or measures.
    Error,
    /// Worth knowing, and harmless.
    Note,
}

/// What was found, in the order in which it is reported. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // `FindingKind::row` says what each one means.
pub enum FindingKind {
    MissingSplit,
    EmptySplit,
    EmptyClass,
    SmallClass,
    UnknownClass,
    SimilarClassNames,
    ClassNameNotUtf8,
    EmptyFile,
    NotAnImage,
    UnsupportedFormat,
    Corrupt,
    BadlyTruncated,
    TooLarge,
    Unreadable,
    BrokenSymlink,
    SpecialFile,
    StrayImage,
    UnlistedImage,
    DuplicateAcrossClasses,
    DuplicateAcrossSplits,
    NearDuplicateAcrossClasses,
    NearDuplicateAcrossSplits,
    BlankImage,
    TinyImage,
    Truncated,
    Duplicate,
    NearDuplicate,
    UnmeasuredClass,
    Imbalance,
    ExtremeAspect,
    HugeImage,
    WrongExtension,
    ExifRotated,
    Animation,
    Transparent,
    Grayscale,
    Cmyk,
    SixteenBit,
    NestedFolder,
    RepeatedFolder,
    FileNameNotUtf8,
    OtherFile,
}

impl FindingKind {
    /// In kebab case.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Whether it would hurt a training.
    pub fn severity(self) -> Severity {
        self.row().1
    }

    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (&'static str, Severity, &'static str) {
        use Severity::{Error, Note};
        match self {
            FindingKind::MissingSplit => {
                ("missing-split", Error, crate::data::image_folder::LAYOUT)
            }
            FindingKind::EmptySplit => {
                ("empty-split", Error, "Add class folders with images to it.")
            }
            FindingKind::EmptyClass => {
                ("empty-class", Error, "Add images, or remove the class from every split.")
            }
            FindingKind::SmallClass => {
                ("small-class", Error, "Add images, or remove the class from every split.")
            }
            FindingKind::UnknownClass => (
                "unknown-class",
                Error,
                "Add the class to train, rename it as there, or remove it.",
            ),
            FindingKind::SimilarClassNames => (
                "similar-class-names",
                Error,
                "Give the folders of one class the same name, letter by letter.",
            ),
            FindingKind::ClassNameNotUtf8 => {
                ("class-name-not-utf8", Error, "Rename the folder: class names are stored as text.")
            }
            FindingKind::EmptyFile => {
                ("empty-file", Error, "Copy the image again, or remove the file.")
            }
            FindingKind::NotAnImage => {
                ("not-an-image", Error, "Replace the file with an image, or remove it.")
            }
            FindingKind::UnsupportedFormat => {
                ("unsupported-format", Error, "Convert the image to JPEG or PNG, or remove it.")
            }
            FindingKind::Corrupt => {
                ("corrupt", Error, "Replace the file with an intact image, or remove it.")
            }
            FindingKind::BadlyTruncated => {
                ("badly-truncated", Error, "Replace the file with an intact image, or remove it.")
            }
            FindingKind::TooLarge => ("too-large", Error, "Scale the image down, or remove it."),
            FindingKind::Unreadable => {
                ("unreadable", Error, "Check the owner and mode of the path, and the disk.")
            }
            FindingKind::BrokenSymlink => {
                ("broken-symlink", Error, "Restore what the link leads to, or remove it.")
            }
            FindingKind::SpecialFile => ("special-file", Error, "Replace it with a regular file."),
            FindingKind::StrayImage => {
                ("stray-image", Error, "Move the image into the folder of its class, or remove it.")
            }
            FindingKind::UnlistedImage => (
                "unlisted-image",
                Error,
                "Give the file the extension of its content, or remove it.",
            ),
            FindingKind::DuplicateAcrossClasses => {
                ("duplicate-across-classes", Error, "Keep the picture in the class it belongs to.")
            }
            FindingKind::DuplicateAcrossSplits => {
                ("duplicate-across-splits", Error, "Keep the picture in one split: copies flatter.")
            }
            FindingKind::NearDuplicateAcrossClasses => (
                "near-duplicate-across-classes",
                Error,
                "Look at them: one picture cannot be of two classes.",
            ),
            FindingKind::NearDuplicateAcrossSplits => (
                "near-duplicate-across-splits",
                Error,
                "Look at them, and keep the picture in one split: copies flatter.",
            ),
            FindingKind::BlankImage => ("blank-image", Error, "Replace or remove it."),
            FindingKind::TinyImage => {
                ("tiny-image", Error, "Replace it with a larger one, or remove it.")
            }
            FindingKind::Truncated => {
                ("truncated", Note, "It is used as far as it goes; replace it when you can.")
            }
            FindingKind::Duplicate => {
                ("duplicate", Note, "Remove all but one: copies weigh more than other images.")
            }
            FindingKind::NearDuplicate => {
                ("near-duplicate", Note, "Remove all but one: copies weigh more than other images.")
            }
            FindingKind::UnmeasuredClass => {
                ("unmeasured-class", Note, "Add images of the class, to see how well it is told.")
            }
            FindingKind::Imbalance => ("imbalance", Note, "Add images to the small classes."),
            FindingKind::ExtremeAspect => (
                "extreme-aspect",
                Note,
                "Cut out what matters: the square in the middle is all that is seen.",
            ),
            FindingKind::HugeImage => {
                ("huge-image", Note, "Scale it down to save time and memory.")
            }
            FindingKind::WrongExtension => {
                ("wrong-extension", Note, "The content decides; rename the file when you can.")
            }
            FindingKind::ExifRotated => (
                "exif-rotated",
                Note,
                "The orientation is not applied, as by torchvision; rotate the pixels themselves.",
            ),
            FindingKind::Animation => ("animation", Note, "The first picture is used."),
            FindingKind::Transparent => {
                ("transparent", Note, "Alpha is dropped: look at what colours lie under it.")
            }
            FindingKind::Grayscale => ("grayscale", Note, "It becomes RGB with equal channels."),
            FindingKind::Cmyk => ("cmyk", Note, "It becomes RGB without a colour profile."),
            FindingKind::SixteenBit => ("sixteen-bit", Note, "It is scaled to 8 bits."),
            FindingKind::NestedFolder => {
                ("nested-folder", Note, "Its images count as those of the class.")
            }
            FindingKind::RepeatedFolder => {
                ("repeated-folder", Note, "It is read once; remove the link when you can.")
            }
            FindingKind::FileNameNotUtf8 => (
                "file-name-not-utf8",
                Note,
                "It is used; in reports what is not UTF-8 in its name is replaced.",
            ),
            FindingKind::OtherFile => ("other-file", Note, "It is passed over."),
        }
    }
}

impl Serialize for FindingKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
