/** What a run leaves behind: metrics, manifest, summary. */
@NullMarked
package dev.kindling.job.report;

import org.jspecify.annotations.NullMarked;
