/** Knows every model family; nothing in the families or their contract knows it. */
@NullMarked
package dev.kindling.model.load;

import org.jspecify.annotations.NullMarked;
