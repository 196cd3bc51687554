/** The only place that sees all backends. */
@NullMarked
package dev.kindling.tensor.load;

import org.jspecify.annotations.NullMarked;
