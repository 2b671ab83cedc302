//! A figure with two axes.

use std::fmt::Display;
use std::ops::Range;

use maud::{Markup, PreEscaped, html};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::{Error, Result};

/// Size on the page, in CSS pixels, where it is as wide as a phone.
const SIZE: (u32, u32) = (400, 240);
/// Coordinates of an SVG are whole numbers here: of thirds of a pixel, so that curves are smooth.
const SCALE: u32 = 3;

/// What is drawn, for those who cannot see it as well.
pub(super) struct Caption<'a> {
    /// Unique in the page; letters and hyphens.
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    /// What the plot shows, in a sentence with its figures.
    pub(super) summary: String,
    /// Names of the lines or areas.
    pub(super) legend: &'a [(Ink, &'a str)],
}

/// One axis.
pub(super) struct Axis<'a> {
    pub(super) range: Range<f64>,
    /// Ticks at most.
    pub(super) num_ticks: usize,
    pub(super) format: &'a dyn Fn(f64) -> String,
    /// Name and unit.
    pub(super) name: &'a str,
}

/// A colour of the page's palette. The stylesheet says which one that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Axes and their labels.
    Text,
    Grid,
    /// Behind everything else.
    Band,
    First,
    /// Dashed as a line: told from the first without its colour.
    Second,
    Third,
}

impl Ink {
    const ALL: [Ink; 6] = [Ink::Text, Ink::Grid, Ink::Band, Ink::First, Ink::Second, Ink::Third];

    /// Stands for it until the SVG is whole.
    fn placeholder(self) -> RGBColor {
        RGBColor(1, 2, self as u8)
    }

    fn name(self) -> &'static str {
        match self {
            Ink::Text => "text",
            Ink::Grid => "grid",
            Ink::Band => "band",
            Ink::First => "first",
            Ink::Second => "second",
            Ink::Third => "third",
        }
    }

    fn dashes(self) -> &'static str {
        if self == Ink::Second { r#" stroke-dasharray="18 9""# } else { "" }
    }
}

/// Draws on a plot, in the units of its axes.
pub(super) struct Canvas<'a, 'b> {
    chart: &'a mut Chart<'b>,
}

type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

impl Canvas<'_, '_> {
    pub(super) fn line(&mut self, ink: Ink, points: &[(f64, f64)]) -> Result<()> {
        let style = ink.placeholder().stroke_width(2 * SCALE);
        let line = LineSeries::new(points.iter().copied(), style);
        self.chart.draw_series(line).map(drop).map_err(failed)
    }

    /// A thin line.
    pub(super) fn rule(&mut self, from: (f64, f64), to: (f64, f64)) -> Result<()> {
        let line = LineSeries::new([from, to], Ink::Text.placeholder().stroke_width(SCALE));
        self.chart.draw_series(line).map(drop).map_err(failed)
    }

    pub(super) fn dot(&mut self, ink: Ink, at: (f64, f64)) -> Result<()> {
        let dot = Circle::new(at, 4 * SCALE, ink.placeholder().filled());
        self.chart.draw_series([dot]).map(drop).map_err(failed)
    }

    /// From zero up to `points`.
    pub(super) fn area(&mut self, ink: Ink, points: &[(f64, f64)]) -> Result<()> {
        let area = AreaSeries::new(points.iter().copied(), 0.0, ink.placeholder().filled());
        self.chart.draw_series(area).map(drop).map_err(failed)
    }

    pub(super) fn rectangle(&mut self, ink: Ink, from: (f64, f64), to: (f64, f64)) -> Result<()> {
        let rectangle = Rectangle::new([from, to], ink.placeholder().filled());
        self.chart.draw_series([rectangle]).map(drop).map_err(failed)
    }

    /// A text whose lower edge has its middle here.
    pub(super) fn label(&mut self, at: (f64, f64), text: &str) -> Result<()> {
        let ink = Ink::Text.placeholder();
        let style = font().color(&ink).pos(Pos::new(HPos::Center, VPos::Bottom));
        let label = Text::new(text.to_owned(), at, style);
        self.chart.draw_series([label]).map(drop).map_err(failed)
    }
}

/// The figure with what `draw` puts on it.
pub(super) fn figure(
    caption: &Caption,
    x: &Axis,
    y: &Axis,
    draw: impl FnOnce(&mut Canvas) -> Result<()>,
) -> Result<Markup> {
    let svg = svg(x, y, draw)?;
    let Caption { id, title, summary, legend } = caption;
    let (title_id, summary_id) = (format!("{id}-title"), format!("{id}-summary"));
    let view_box = format!("0 0 {} {}", SIZE.0 * SCALE, SIZE.1 * SCALE);
    Ok(html! {
        figure {
            figcaption {
                strong { (title) } " "
                span.axes { "(" (y.name) " by " (x.name) ")" }
                p { (summary) }
            }
            @if !legend.is_empty() {
                ul.legend {
                    @for (ink, name) in *legend {
                        li { span class=(format!("key {}", ink.name())) aria-hidden="true" {} (name) }
                    }
                }
            }
            svg viewBox=(view_box) role="img" aria-labelledby=(title_id) aria-describedby=(summary_id) {
                title id=(title_id) { (title) }
                desc id=(summary_id) { (summary) }
                (svg)
            }
        }
    })
}

/// What is inside of the `<svg>` element.
fn svg(x: &Axis, y: &Axis, draw: impl FnOnce(&mut Canvas) -> Result<()>) -> Result<Markup> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (SIZE.0 * SCALE, SIZE.1 * SCALE))
            .into_drawing_area();
        let ink = Ink::Text.placeholder();
        let mut chart = ChartBuilder::on(&area)
            .margin_top(18 * SCALE)
            .margin_right(20 * SCALE)
            .x_label_area_size(26 * SCALE)
            .y_label_area_size(54 * SCALE)
            .build_cartesian_2d(x.range.clone(), y.range.clone())
            .map_err(failed)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(x.num_ticks)
            .y_labels(y.num_ticks)
            .x_label_formatter(&|value| (x.format)(*value))
            .y_label_formatter(&|value| (y.format)(*value))
            .label_style(font().color(&ink))
            .axis_style(Ink::Grid.placeholder().stroke_width(SCALE))
            .bold_line_style(Ink::Grid.placeholder().stroke_width(SCALE))
            .light_line_style(TRANSPARENT)
            .draw()
            .map_err(failed)?;
        draw(&mut Canvas { chart: &mut chart })?;
        area.present().map_err(failed)?;
    }
    Ok(PreEscaped(take_colours_from_page(inner(&text))))
}

fn font() -> TextStyle<'static> {
    ("sans-serif", f64::from(14 * SCALE)).into_font().into()
}

/// Without the element that the page has an own one for.
fn inner(svg: &str) -> &str {
    let start = svg.find("<svg").and_then(|at| Some(at + svg[at..].find('>')? + 1));
    let end = svg.rfind("</svg>");
    svg.get(start.unwrap_or(0)..end.unwrap_or(svg.len())).unwrap_or_default()
}

fn take_colours_from_page(svg: &str) -> String {
    let plain = svg.replace(r#" font-family="sans-serif""#, "").replace(r#" opacity="1""#, "");
    Ink::ALL.into_iter().fold(plain, |svg, ink| {
        let RGBColor(r, g, b) = ink.placeholder();
        let (name, dashes) = (ink.name(), ink.dashes());
        let found = format!("#{r:02X}{g:02X}{b:02X}");
        svg.replace(&format!(r#"fill="{found}""#), &format!(r#"fill="var(--{name})""#))
            .replace(&format!(r#"stroke="{found}""#), &format!(r#"stroke="var(--{name})"{dashes}"#))
    })
}

fn failed(error: impl Display) -> Error {
    Error::Internal(format!("cannot draw a plot: {error}"))
}
