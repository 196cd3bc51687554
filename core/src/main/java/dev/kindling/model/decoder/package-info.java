/** What all decoders share: the walk over blocks and back, and the loss of the next token. */
@NullMarked
package dev.kindling.model.decoder;

import org.jspecify.annotations.NullMarked;
