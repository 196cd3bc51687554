/**
 * The Spark job: everything about machines, nothing about numbers.
 *
 * <p>Who may import whom, strictly upwards (held by an ArchUnit test):
 *
 * <pre>
 * config → storage → {ingest, broadcast} → sync → evaluate → report → job → cli
 * </pre>
 */
@NullMarked
package dev.kindling.job;

import org.jspecify.annotations.NullMarked;
