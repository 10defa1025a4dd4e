"""A django-oscar shop with one product, and its database in the current folder."""

import sys

import django
from django.conf import settings
from django.core.management import call_command
from oscar.defaults import *  # noqa: F403

OSCAR_APPS = """oscar.config.Shop oscar.apps.analytics.apps.AnalyticsConfig oscar.apps.checkout.apps.CheckoutConfig oscar.apps.address.apps.AddressConfig
oscar.apps.shipping.apps.ShippingConfig oscar.apps.catalogue.apps.CatalogueConfig oscar.apps.catalogue.reviews.apps.CatalogueReviewsConfig
oscar.apps.communication.apps.CommunicationConfig oscar.apps.partner.apps.PartnerConfig oscar.apps.basket.apps.BasketConfig oscar.apps.payment.apps.PaymentConfig
oscar.apps.offer.apps.OfferConfig oscar.apps.order.apps.OrderConfig oscar.apps.customer.apps.CustomerConfig oscar.apps.search.apps.SearchConfig
oscar.apps.voucher.apps.VoucherConfig oscar.apps.wishlists.apps.WishlistsConfig oscar.apps.dashboard.apps.DashboardConfig
oscar.apps.dashboard.reports.apps.ReportsDashboardConfig oscar.apps.dashboard.users.apps.UsersDashboardConfig oscar.apps.dashboard.orders.apps.OrdersDashboardConfig
oscar.apps.dashboard.catalogue.apps.CatalogueDashboardConfig oscar.apps.dashboard.offers.apps.OffersDashboardConfig
oscar.apps.dashboard.partners.apps.PartnersDashboardConfig oscar.apps.dashboard.pages.apps.PagesDashboardConfig
oscar.apps.dashboard.ranges.apps.RangesDashboardConfig oscar.apps.dashboard.reviews.apps.ReviewsDashboardConfig
oscar.apps.dashboard.vouchers.apps.VouchersDashboardConfig oscar.apps.dashboard.communications.apps.CommunicationsDashboardConfig
oscar.apps.dashboard.shipping.apps.ShippingDashboardConfig""".split()
CONTRIB = ["auth", "contenttypes", "sessions", "sites", "messages", "staticfiles", "flatpages"]
CONTEXT = ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth", "django.contrib.messages.context_processors.messages"]
CONTEXT += [f"oscar.{name}" for name in ["apps.search.context_processors.search_form", "apps.communication.notifications.context_processors.notifications"]]
CONTEXT += ["oscar.apps.checkout.context_processors.checkout", "oscar.core.context_processors.metadata"]



class WithoutMigrations(dict):
    """Creates the tables from the models. The migrations of fifteen years would take a minute."""

    def __contains__(self, label):
        return True

    def __getitem__(self, label):
        return None


settings.configure(
    **{name: value for name, value in globals().items() if name.startswith("OSCAR_") and name != "OSCAR_APPS"},
    DEBUG=True,
    SECRET_KEY="secret",
    SITE_ID=1,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "oscar.db", "ATOMIC_REQUESTS": True}},
    HAYSTACK_CONNECTIONS={"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}},
    INSTALLED_APPS=[f"django.contrib.{app}" for app in CONTRIB] + OSCAR_APPS + ["widget_tweaks", "haystack", "treebeard", "sorl.thumbnail", "django_tables2"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "oscar.apps.basket.middleware.BasketMiddleware",
    ],
    AUTHENTICATION_BACKENDS=["oscar.apps.customer.auth_backends.EmailBackend"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {"context_processors": CONTEXT}}],
    EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    MIGRATION_MODULES=WithoutMigrations(),
    LOGIN_REDIRECT_URL="/",
    STATIC_URL="/static/",
    MEDIA_URL="/media/",
    MEDIA_ROOT="media",
)
django.setup()

from django.apps import apps  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.urls import include, path  # noqa: E402
from oscar.test.factories import create_product  # noqa: E402

urlpatterns = [path("i18n/", include("django.conf.urls.i18n")), path("", include(apps.get_app_config("oscar").urls[0]))]

call_command("migrate", run_syncdb=True, verbosity=0)
User.objects.create_superuser("admin", email="admin@suite.example", password="secret")
create_product(title="Thing", price=10, num_in_stock=100_000)
call_command("runserver", f"127.0.0.1:{sys.argv[1]}", use_reloader=False)
