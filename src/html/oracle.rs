//! Test oracle: start tags as parsed by html5ever, a complete HTML parser.

use std::cell::RefCell;

use html5ever::buffer_queue::BufferQueue;
use html5ever::interface::TokenizerResult;
use html5ever::tokenizer::{
    Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts, TreeSink};
use markup5ever_rcdom::{Handle, RcDom};

/// A start tag: its name, and the names and values of its attributes.
pub(super) type StartTag = (String, Vec<(String, String)>);

struct Recorder {
    tree: TreeBuilder<Handle, RcDom>,
    tags: RefCell<Vec<StartTag>>,
}

impl TokenSink for Recorder {
    type Handle = <RcDom as TreeSink>::Handle;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<Self::Handle> {
        if let Token::TagToken(Tag { kind: TagKind::StartTag, name, attrs, .. }) = &token {
            let attributes = attrs.iter().map(|a| (a.name.local.to_string(), a.value.to_string()));
            self.tags.borrow_mut().push((name.to_string(), attributes.collect()));
        }
        self.tree.process_token(token, line)
    }

    fn end(&self) {
        self.tree.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.tree.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

/// The start tags of a page, in order.
pub(super) fn start_tags(html: &str, scripts: bool) -> Vec<StartTag> {
    let opts = TreeBuilderOpts { scripting_enabled: scripts, ..TreeBuilderOpts::default() };
    let tree = TreeBuilder::new(RcDom::default(), opts);
    let sink = Recorder { tree, tags: RefCell::default() };
    let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
    let queue = BufferQueue::default();
    queue.push_back(html.into());
    while !matches!(tokenizer.feed(&queue), TokenizerResult::Done) {}
    tokenizer.end();
    tokenizer.sink.tags.take()
}
