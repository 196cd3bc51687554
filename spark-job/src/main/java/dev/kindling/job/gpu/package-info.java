/**
 * GPUs as Spark hands them out: what a run asks for, which device a task was given, and which
 * executor computes on which.
 *
 * <p>One GPU for each task, and no task shares one: a model with its activations fills it, and two
 * of them would only take turns. Where the cluster can schedule stages apart, only the stages that
 * compute need a GPU; reading and shuffling use every core.
 */
@NullMarked
package dev.kindling.job.gpu;

import org.jspecify.annotations.NullMarked;
