/**
 * Whole models behind one contract. A family is one package below this one: configuration record,
 * weight table, block, model; {@code load.Families} names it in one line.
 */
@NullMarked
package dev.kindling.model;

import org.jspecify.annotations.NullMarked;
