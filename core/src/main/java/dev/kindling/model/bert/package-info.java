/**
 * BERT (Devlin et al., arXiv:1810.04805) and RoBERTa (Liu et al., arXiv:1907.11692) as sequence
 * classifiers. They differ in where positions start and in the head: BERT classifies its pooler's
 * output, RoBERTa has a dense layer of its own there. The dropouts of config.json are not applied.
 *
 * <p>Symbols: B sequences, T tokens each, N = B·T, d hidden size, f intermediate size.
 */
@NullMarked
package dev.kindling.model.bert;

import org.jspecify.annotations.NullMarked;
