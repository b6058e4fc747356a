/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bench/roofline.h"

#include <math.h>

enum {
	LEFT = 80,
	TOP = 60,
	PLOT_WIDTH = 520,
	PLOT_HEIGHT = 420,
	LIST_LEFT = LEFT + PLOT_WIDTH + 40,
	LIST_LINE = 17,
	LIST_WIDTH = 400,
	BELOW = 60,
	MAX_DOTS = BENCH_MAX_ROWS + 2 * TENSOR_TYPE_END
};

/* Middling tones, which can be seen on white and on black. */
#define INK     "#808080"
#define GRID    "#80808040"
#define DECODE  "#3b82d6"
#define PREFILL "#d9702b"
#define KERNEL  "#3f9b5f"

struct dot {
	double x, y; /* multiply-adds a byte; and a second, in 10^9 */
	const char *colour;
	bool numbered;
	char label[128];
};

struct picture {
	FILE *f;
	struct dot dots[MAX_DOTS];
	size_t n;
	/* Decades of the axes: powers of ten at their ends. */
	int x_first, x_last, y_first, y_last;
};

/* ---- what is to be seen --------------------------------------------------------------------- */

static struct dot *add_dot(
    struct picture *p, const struct demand *d, double seconds, const char *colour)
{
	struct dot *dot = &p->dots[p->n++];

	assert(p->n <= MAX_DOTS);
	dot->x = d->multiply_adds / (d->weight_bytes + d->kv_bytes);
	dot->y = d->multiply_adds / seconds * 1e-9;
	dot->colour = colour;
	return dot;
}

static void collect(struct picture *p, const struct bench *b)
{
	for (size_t i = 0; i < b->n_rows; i++) {
		const struct bench_row *r = &b->rows[i];
		bool decode = r->measured->phase == PHASE_DECODE;
		struct dot *dot = add_dot(p, &r->m.demand, r->m.seconds, decode ? DECODE : PREFILL);

		(void)snprintf(dot->label, sizeof dot->label, "%s %s %s %u x %u, %s: %.1f tokens/s",
		    r->model->name, tensor_type_info(r->model->type)->name,
		    phase_name(r->measured->phase), r->measured->sessions, r->measured->tokens,
		    r->model->kernels, r->m.tokens / r->m.seconds);
	}
	for (size_t i = 0; i < b->n_products; i++) {
		const struct bench_product *product = &b->products[i];
		struct dot *dot = add_dot(p, &product->demand, product->seconds, KERNEL);

		(void)snprintf(dot->label, sizeof dot->label, "kernel %s, %u vector%s",
		    tensor_type_info(product->type)->name, product->n_vectors,
		    product->n_vectors > 1 ? "s" : "");
	}
}

/* Whole decades that hold the dots, and the ridge where slope and roof meet. */
static void choose_axes(struct picture *p, const struct limits *limits)
{
	double roof = limits->multiply_adds_s * 1e-9;
	double ridge = limits->multiply_adds_s / limits->read_bytes_s;
	double x_min = ridge, x_max = ridge, y_min = roof, y_max = roof;

	for (size_t i = 0; i < p->n; i++) {
		x_min = fmin(x_min, p->dots[i].x);
		x_max = fmax(x_max, p->dots[i].x);
		y_min = fmin(y_min, p->dots[i].y);
		y_max = fmax(y_max, p->dots[i].y);
	}
	p->x_first = (int)floor(log10(x_min / 1.5));
	p->x_last = (int)ceil(log10(x_max * 1.5));
	p->y_first = (int)floor(log10(y_min / 1.5));
	p->y_last = (int)ceil(log10(y_max * 1.5));
}

static double place_x(const struct picture *p, double x)
{
	return LEFT + PLOT_WIDTH * (log10(x) - p->x_first) / (p->x_last - p->x_first);
}

static double place_y(const struct picture *p, double y)
{
	return TOP + PLOT_HEIGHT * (p->y_last - log10(y)) / (p->y_last - p->y_first);
}

/* ---- drawing -------------------------------------------------------------------------------- */

/* Text as XML wants it. */
static void put_text(FILE *f, const char *text)
{
	for (; *text != '\0'; text++)
		switch (*text) {
		case '<':
			(void)fputs("&lt;", f);
			break;
		case '&':
			(void)fputs("&amp;", f);
			break;
		default:
			(void)fputc((unsigned char)*text < ' ' ? '?' : *text, f);
		}
}

static void put_line(
    FILE *f, double x1, double y1, double x2, double y2, const char *colour, double width)
{
	(void)fprintf(f,
	    "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
	    "stroke-width=\"%.1f\"/>\n",
	    x1, y1, x2, y2, colour, width);
}

static void put_label(FILE *f, double x, double y, const char *anchor, const char *text)
{
	(void)fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
	put_text(f, text);
	(void)fputs("</text>\n", f);
}

static void draw_axes(const struct picture *p)
{
	const double bottom = TOP + PLOT_HEIGHT, right = LEFT + PLOT_WIDTH;
	char text[32];

	for (int d = p->x_first; d <= p->x_last; d++) {
		double x = place_x(p, pow(10.0, d));

		put_line(p->f, x, TOP, x, bottom, GRID, 1.0);
		(void)snprintf(text, sizeof text, "%g", pow(10.0, d));
		put_label(p->f, x, bottom + 18.0, "middle", text);
	}
	for (int d = p->y_first; d <= p->y_last; d++) {
		double y = place_y(p, pow(10.0, d));

		put_line(p->f, LEFT, y, right, y, GRID, 1.0);
		(void)snprintf(text, sizeof text, "%g", pow(10.0, d));
		put_label(p->f, LEFT - 8.0, y + 4.0, "end", text);
	}
	put_label(p->f, LEFT + PLOT_WIDTH / 2.0, bottom + 42.0, "middle",
	    "multiply-adds for each byte read from memory");
	put_label(p->f, LEFT - 60.0, TOP - 14.0, "start", "10^9 multiply-adds a second");
}

/* The slope from the left (or bottom) edge to the ridge, then the roof. */
static void draw_roof(const struct picture *p, const struct limits *limits)
{
	const double roof = limits->multiply_adds_s * 1e-9, slope = limits->read_bytes_s * 1e-9;
	const double x = fmax(pow(10.0, p->x_first), pow(10.0, p->y_first) / slope);
	const double ridge = place_x(p, roof / slope), top = place_y(p, roof);
	char text[64];

	put_line(p->f, place_x(p, x), place_y(p, x * slope), ridge, top, INK, 2.0);
	put_line(p->f, ridge, top, LEFT + PLOT_WIDTH, top, INK, 2.0);
	(void)snprintf(text, sizeof text, "%.1f GB/s", slope);
	put_label(p->f, ridge - 40.0, top + 14.0, "end", text);
	(void)snprintf(text, sizeof text, "%.0f x 10^9/s", roof);
	put_label(p->f, LEFT + PLOT_WIDTH - 4.0, top - 8.0, "end", text);
}

static void put_circle(
    FILE *f, double x, double y, double radius, const char *colour, const char *title)
{
	(void)fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\"><title>", x, y,
	    radius, colour);
	put_text(f, title);
	(void)fputs("</title></circle>\n", f);
}

/* A line of the list: a dot and its label. */
static void put_entry(FILE *f, size_t line, const char *colour, const char *text)
{
	const double y = TOP + (double)line * LIST_LINE;

	put_circle(f, LIST_LEFT, y - 4.0, 4.0, colour, text);
	put_label(f, LIST_LEFT + 10.0, y, "start", text);
}

static void draw_dots(const struct picture *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		const struct dot *dot = &p->dots[i];
		double x = place_x(p, dot->x), y = place_y(p, dot->y);
		char number[16], line[160];

		put_circle(p->f, x, y, dot->numbered ? 4.0 : 2.5, dot->colour, dot->label);
		if (!dot->numbered)
			continue;
		(void)snprintf(number, sizeof number, "%zu", n + 1);
		put_label(p->f, x + 6.0, y - 4.0, "start", number);
		(void)snprintf(line, sizeof line, "%s  %s", number, dot->label);
		put_entry(p->f, n++, dot->colour, line);
	}
	if (n < p->n)
		put_entry(p->f, n, KERNEL, "kernels: a product with one matrix each");
}

void roofline_write(const struct bench *b, FILE *f)
{
	struct picture p = {.f = f};
	int height, list;
	char title[256];

	collect(&p, b);
	choose_axes(&p, &b->limits);
	height = TOP + PLOT_HEIGHT + BELOW;
	list = TOP + (int)(b->n_rows + 1) * LIST_LINE;
	(void)fprintf(f,
	    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
	    "font-family=\"sans-serif\" font-size=\"12\" fill=\"" INK "\">\n",
	    LIST_LEFT + LIST_WIDTH, list > height ? list : height);
	(void)snprintf(title, sizeof title, "%s, %u threads, kernels %s", b->machine.processor,
	    b->threads, b->kernels);
	put_label(f, LEFT - 60.0, 24.0, "start", title);
	draw_axes(&p);
	draw_roof(&p, &b->limits);
	draw_dots(&p);
	(void)fputs("</svg>\n", f);
}
